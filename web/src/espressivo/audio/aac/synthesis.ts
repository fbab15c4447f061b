/**
 * From the spectrum of an AAC channel to samples: inverse MDCT, windows and overlap.
 *
 * Source: ISO/IEC 14496-3, section 4.6.11.
 */

import { type Channel, LENGTH, SHORT, SHORT_LENGTH } from "./spectrum";

const FLAT = (LENGTH - SHORT_LENGTH) / 2;
const START = 1; // sequences: from long to short windows
const STOP = 3; // and back
const FULL_SCALE = 32_768;

/** Rising slopes of a length: sine, Kaiser-Bessel. */
const SLOPES = {
  long: [sine(LENGTH), kaiserBessel(LENGTH, 4)],
  short: [sine(SHORT_LENGTH), kaiserBessel(SHORT_LENGTH, 6)],
};

/** What follows from one frame of a channel to the next. */
export class Synthesis {
  private overlap = new Float32Array(LENGTH);
  private shape = 0; // of the frame before

  /** Return the samples of a frame, full scale 1. */
  frame({ spectrum, windows: { sequence, shape } }: Channel): Float32Array<ArrayBuffer> {
    const both = new Float32Array(2 * LENGTH);
    const [before, after] = [this.shape, shape];
    if (sequence === SHORT) {
      for (let i = 0; i < 8; i++) {
        const at = i * SHORT_LENGTH;
        const part = LONG_AND_SHORT.short.inverse(spectrum.subarray(at, at + SHORT_LENGTH));
        const rise = SLOPES.short[i === 0 ? before : after];
        addWindowed(both, part, FLAT + at, rise, SLOPES.short[after]);
      }
    } else {
      const whole = LONG_AND_SHORT.long.inverse(spectrum);
      const rise = sequence === STOP ? flanked(before) : SLOPES.long[before];
      const fall = sequence === START ? flanked(after) : SLOPES.long[after];
      addWindowed(both, whole, 0, rise, fall);
    }
    const out = both.slice(0, LENGTH);
    for (let i = 0; i < LENGTH; i++) out[i] += this.overlap[i];
    this.overlap = both.slice(LENGTH);
    this.shape = shape;
    return out;
  }
}

/** Return a short slope between zeros and ones. */
function flanked(shape: number): Float32Array {
  const slope = new Float32Array(LENGTH).fill(1, FLAT + SHORT_LENGTH);
  slope.set(SLOPES.short[shape], FLAT);
  return slope;
}

function addWindowed(
  to: Float32Array,
  part: Float32Array,
  at: number,
  rise: Float32Array,
  fall: Float32Array,
): void {
  const n = rise.length;
  for (let i = 0; i < n; i++) {
    to[at + i] += part[i] * rise[i];
    to[at + n + i] += part[n + i] * fall[n - 1 - i];
  }
}

function sine(n: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) =>
    Math.sin((Math.PI / (2 * n)) * (i + 0.5)),
  );
}

function kaiserBessel(n: number, alpha: number): Float32Array {
  const kernel = Array.from({ length: n + 1 }, (_, i) =>
    bessel(Math.PI * alpha * Math.sqrt(1 - ((2 * i) / n - 1) ** 2)),
  );
  const total = kernel.reduce((sum, each) => sum + each, 0);
  let sum = 0;
  return Float32Array.from({ length: n }, (_, i) => {
    sum += kernel[i];
    return Math.sqrt(sum / total);
  });
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function bessel(x: number): number {
  let [term, sum] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Inverse MDCT of `n` coefficients, by a complex Fourier transform of a half as many. */
class Transform {
  private readonly twist: Float64Array; // cosines and sines, in turn
  private readonly roots: Float64Array;

  constructor(private readonly n: number) {
    const half = n / 2;
    this.twist = turns(half, (i) => (-Math.PI * (8 * i + 1)) / (8 * n));
    this.roots = turns(half / 2, (i) => (-2 * Math.PI * i) / half);
  }

  /** Return 2 `n` samples. */
  inverse(spectrum: Float32Array): Float32Array {
    const { n, twist } = this;
    const half = n / 2;
    const z = new Float64Array(n);
    for (let i = 0; i < half; i++) {
      const [re, im] = [spectrum[2 * i], spectrum[n - 1 - 2 * i]];
      z[2 * i] = re * twist[2 * i] - im * twist[2 * i + 1];
      z[2 * i + 1] = re * twist[2 * i + 1] + im * twist[2 * i];
    }
    this.transform(z);
    const y = new Float64Array(n);
    for (let i = 0; i < half; i++) {
      const [re, im, c, s] = [z[2 * i], z[2 * i + 1], twist[2 * i], twist[2 * i + 1]];
      y[2 * i] = re * c - im * s;
      y[n - 1 - 2 * i] = -(re * s + im * c);
    }
    const scale = 1 / n / FULL_SCALE;
    const out = new Float32Array(2 * n);
    for (let i = 0; i < half; i++) {
      out[i] = y[half + i] * scale;
      out[2 * n - half + i] = -y[i] * scale;
    }
    for (let i = 0; i < n; i++) out[half + i] = -y[n - 1 - i] * scale;
    return out;
  }

  /** Fourier transform of complex numbers, in place. */
  private transform(z: Float64Array): void {
    const n = z.length / 2;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [z[2 * i], z[2 * j]] = [z[2 * j], z[2 * i]];
        [z[2 * i + 1], z[2 * j + 1]] = [z[2 * j + 1], z[2 * i + 1]];
      }
    }
    for (let size = 2; size <= n; size *= 2) {
      const step = (2 * n) / size;
      for (let start = 0; start < n; start += size) {
        for (let i = 0; i < size / 2; i++) {
          const [a, b] = [2 * (start + i), 2 * (start + i) + size];
          const [c, s] = [this.roots[i * step], this.roots[i * step + 1]];
          const re = z[b] * c - z[b + 1] * s;
          const im = z[b] * s + z[b + 1] * c;
          z[b] = z[a] - re;
          z[b + 1] = z[a + 1] - im;
          z[a] += re;
          z[a + 1] += im;
        }
      }
    }
  }
}

const LONG_AND_SHORT = { long: new Transform(LENGTH), short: new Transform(SHORT_LENGTH) };

function turns(n: number, angle: (i: number) => number): Float64Array {
  return Float64Array.from({ length: 2 * n }, (_, i) =>
    i % 2 ? Math.sin(angle(i >> 1)) : Math.cos(angle(i >> 1)),
  );
}
