/**
 * Resample a stream from any rate to 16 kHz with FFmpeg's default filter.
 *
 * Python resamples with FFmpeg, so both compute the same samples of a recording.
 * Source: libswresample/resample.c (polyphase, Kaiser window with beta 9, 32 taps at the
 * lower rate, cutoff at 0.97 of Nyquist; the signal is mirrored at both ends). A signal
 * shorter than the filter, of which FFmpeg makes nothing, is followed by zeros, as in Python.
 */

import { AudioError } from "../errors";
import { SAMPLE_RATE } from "../types";

const TAPS = 32;
const CUTOFF = 0.97;
const BETA = 9;

export class Resampler {
  private readonly up: number; // input is taken in steps of down / up samples
  private readonly down: number;
  private readonly bank: Float32Array[]; // one filter per phase
  private readonly nTaps: number;
  private readonly center: number;
  private buffer: Float32Array = new Float32Array(0);
  private offset = 0; // start of the buffer in the input; negative in the mirrored part
  private nIn = 0;
  private nOut = 0;
  private begun = false;

  /**
   * @param rate Sample rate of the input, a positive whole number of Hz.
   * @throws AudioError The rate is no such number.
   */
  constructor(rate: number) {
    if (!(Number.isInteger(rate) && rate > 0)) {
      throw new AudioError(`sample rate is ${rate} Hz; pass a whole number`);
    }
    const common = gcd(rate, SAMPLE_RATE);
    this.up = SAMPLE_RATE / common;
    this.down = rate / common;
    const factor = Math.min((SAMPLE_RATE * CUTOFF) / rate, 1);
    this.nTaps = 2 * Math.ceil(Math.ceil(TAPS / factor) / 2);
    this.center = (this.nTaps - 2) / 2;
    this.bank = this.isCopy ? [] : filters(this.up, this.nTaps, this.center, factor);
  }

  private get isCopy(): boolean {
    return this.up === this.down;
  }

  /** Return the 16 kHz samples that `block` completes. */
  push(block: Float32Array): Float32Array {
    if (this.isCopy) return block;
    this.nIn += block.length;
    this.buffer = joined(this.buffer, block);
    return this.begin() ? this.convolve() : new Float32Array(0);
  }

  /** Return the samples that remain at the end of the input. */
  finish(): Float32Array {
    if (this.isCopy || this.nIn === 0) return new Float32Array(0);
    const shortest = toEven(TAPS * Math.max(1, this.down / this.up));
    if (this.nIn < shortest) {
      const wanted = toEven((this.nIn * this.up) / this.down) - this.nOut;
      const padded = this.push(new Float32Array(shortest - this.nIn));
      return joined(padded, this.finish()).slice(0, wanted);
    }
    const left = this.buffer.length; // shorter than a filter; half a filter is appended, mirrored
    const mirrored = this.buffer.slice(Math.floor(left / 2)).reverse();
    this.buffer = joined(this.buffer, mirrored);
    return this.begin() ? this.convolve() : new Float32Array(0);
  }

  /** Prepend the mirrored start once the buffer holds the length of a filter. */
  private begin(): boolean {
    if (this.begun) return true;
    if (this.buffer.length <= this.nTaps) return false;
    const start = this.buffer.slice(1, this.center + 1).reverse();
    this.buffer = joined(start, this.buffer);
    this.offset = -this.center;
    this.begun = true;
    return true;
  }

  private convolve(): Float32Array {
    const { up, down, nTaps, center, buffer } = this;
    const at = (n: number) => Math.floor((n * down) / up) - center - this.offset;
    let until = this.nOut;
    while (at(until) + nTaps <= buffer.length) until += 1;
    const out = new Float32Array(until - this.nOut);
    for (let i = 0; i < out.length; i++) {
      const n = this.nOut + i;
      const taps = this.bank[(n * down) % up];
      const from = at(n);
      let sum = 0;
      for (let j = 0; j < nTaps; j++) sum += taps[j] * buffer[from + j];
      out[i] = sum;
    }
    const drop = Math.min(Math.max(0, at(until)), buffer.length);
    this.nOut = until;
    this.buffer = buffer.slice(drop);
    this.offset += drop;
    return out;
  }
}

/** Return the filters [phases][taps]; the first sums to 1, the others to about 1. */
function filters(
  up: number,
  nTaps: number,
  center: number,
  factor: number,
): Float32Array[] {
  const bank = Array.from({ length: up }, (_, phase) =>
    Array.from({ length: nTaps }, (_, i) => {
      const x = Math.PI * (i - center - phase / up) * factor;
      const w = (2 * x) / (factor * nTaps * Math.PI);
      const sinc = x === 0 ? 1 : Math.sin(x) / x;
      return sinc * bessel(BETA * Math.sqrt(Math.max(1 - w * w, 0)));
    }),
  );
  const sum = bank[0].reduce((a, b) => a + b, 0);
  return bank.map((taps) => Float32Array.from(taps, (tap) => tap / sum));
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Round to a whole number; ties go to the even one, as in Python. */
export function toEven(value: number): number {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const whole = new Float32Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
