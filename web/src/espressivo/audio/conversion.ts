/**
 * Conversion of decoded pieces to one signal: time stamps, channels, sample rate.
 *
 * The same as `espressivo/audio/conversion.py`.
 */

import { AudioError } from "../errors";
import { SAMPLE_RATE, type Segment } from "../types";
import {
  ChannelMixer,
  count,
  type FindSpeech,
  joined,
  MIXED,
  MONO,
  secondOf,
} from "./channels";
import { type Clock, TOLERANCE_S } from "./clock";
import { between, type Piece } from "./pieces";
import { Resampler } from "./resample";

const MOST_GAPS = 1000; // in the report; damaged time stamps have one for each packet
const MOST_BAD = 0.01; // share of samples that may be NaN or infinite
const JUDGED_S = 10; // after which a recording is refused for them

// What a channel is left out for, as a warning says it.
const REASONS: Record<string, string> = {
  cancel:
    "the channels cancel or blur each other when they are mixed (inverted phase or a delay)",
  speech: "only one channel holds speech",
};

export class Converter {
  /** Holes in the time stamps, which are silence in the signal, in order. */
  readonly gaps: Segment[] = [];
  /** Number of samples by channels: mono, mixed, left, right, ... */
  private readonly used = new Map<string, number>();
  private readonly reasons = new Map<string, number>();
  private nSamples = 0;
  private nBad = 0; // samples that were NaN or infinite, and are 0
  private bad_s = 0; // position of the first of them
  private firstBad = 0;
  private nConverted = 0;
  private converted_s = 0;
  private mixer: ChannelMixer | null = null;
  private resampler: Resampler | null = null;
  private shape = "";

  /**
   * @param name Name of the recording in messages.
   * @param clock Clock that places the pieces of a file; null for samples, which follow
   *   one another.
   */
  constructor(
    private readonly name: string,
    private readonly clock: Clock | null,
    private readonly findSpeech: FindSpeech,
  ) {}

  /**
   * Yield the 16 kHz samples that a piece completes.
   *
   * @throws AudioError Too many samples are NaN or infinite.
   */
  async *push(piece: Piece): AsyncGenerator<Float32Array> {
    const { rate, channels, stamp_s } = piece;
    const n = channels[0].length;
    if (this.shape !== `${rate} ${channels.length}`) {
      yield await this.finish();
      this.shape = `${rate} ${channels.length}`;
      this.mixer = new ChannelMixer(channels.length, rate, this.findSpeech);
      this.resampler = new Resampler(rate);
    }
    this.nSamples += n;
    const begin_s = this.clock?.position_s ?? 0;
    const placement = this.clock?.place(stamp_s, n / rate);
    if (placement?.silence_s) {
      this.noteGap(begin_s, placement.silence_s);
      yield* this.silence(placement.silence_s, piece);
    }
    const heard = placement?.skip_s
      ? between(piece, stamp_s + placement.skip_s, Number.POSITIVE_INFINITY).channels
      : channels;
    yield await this.through(heard, rate);
    this.requireFinite(false);
  }

  /** Return the samples that the end of the recording completes. */
  async finish(): Promise<Float32Array> {
    const { mixer, resampler } = this;
    if (!mixer || !resampler) return new Float32Array(0);
    this.mixer = this.resampler = null;
    this.shape = "";
    const done = [resampler.push(await mixer.finish()), resampler.finish()];
    for (const [name, n] of mixer.used) count(this.used, name, n);
    for (const [name, n] of mixer.reasons) count(this.reasons, name, n);
    return joined(done);
  }

  /** Channels in most of the signal: mono, mixed, left, right, channel 3, ... */
  get channels(): string {
    const [most] = [...this.used].sort(([, a], [, b]) => b - a);
    return most?.[0] ?? (this.clock ? MIXED : MONO);
  }

  /**
   * Return warnings about the whole recording, once it is finished.
   *
   * @throws AudioError Too many samples are NaN or infinite.
   */
  warnings(): string[] {
    this.requireFinite(true);
    const found: string[] = [];
    if (this.nBad) found.push(`${this.bad()}; they were taken as silence`);
    const total = [...this.used.values()].reduce((sum, n) => sum + n, 0);
    for (const [reason, n] of this.reasons) {
      if (n >= total / 2) found.push(`${REASONS[reason]}; analysed: ${this.channels}`);
    }
    return found.map((text) => `${this.name}: ${text}`);
  }

  private noteGap(begin_s: number, silence_s: number): void {
    if (silence_s <= TOLERANCE_S || this.gaps.length >= MOST_GAPS) return;
    const [start, end] = [begin_s, begin_s + silence_s].map((time_s) =>
      Math.round(time_s * SAMPLE_RATE),
    );
    this.gaps.push({ start, end });
  }

  private async *silence(length_s: number, piece: Piece): AsyncGenerator<Float32Array> {
    const n = Math.round(length_s * piece.rate);
    const second = secondOf(piece.rate);
    for (let at = 0; at < n; at += second) {
      const silent = new Float32Array(Math.min(second, n - at));
      yield await this.through(
        piece.channels.map(() => silent),
        piece.rate,
      );
    }
  }

  private async through(
    channels: readonly Float32Array[],
    rate: number,
  ): Promise<Float32Array> {
    const { mixer, resampler } = this;
    if (!mixer || !resampler) throw new Error("the conversion has ended");
    this.repair(channels, rate);
    this.converted_s += channels[0].length / rate;
    this.nConverted += channels[0].length;
    return resampler.push(await mixer.push(channels));
  }

  /** Replace samples that are NaN or infinite by 0, in place. */
  private repair(channels: readonly Float32Array[], rate: number): void {
    if (channels.every(isWhole)) return;
    for (let t = 0; t < channels[0].length; t++) {
      let isGood = true;
      for (const channel of channels) isGood &&= Number.isFinite(channel[t]);
      if (isGood) continue;
      if (!this.nBad) {
        this.bad_s = this.converted_s + t / rate;
        this.firstBad = this.nConverted + t;
      }
      this.nBad += 1;
      for (const channel of channels) if (!Number.isFinite(channel[t])) channel[t] = 0;
    }
  }

  /** Refuse a recording of which too much is not finite; wait for 10 s of it. */
  private requireFinite(isFinal: boolean): void {
    const { nBad, nSamples } = this;
    if (!nBad || (nSamples < JUDGED_S * SAMPLE_RATE && !isFinal)) return;
    if (nBad <= MOST_BAD * nSamples) return;
    const remedy = this.clock ? "recording" : "signal";
    throw new AudioError(`${this.name}: ${this.bad()}; repair the ${remedy}`);
  }

  /** Say what is not finite. */
  private bad(): string {
    const { nBad, nSamples, bad_s, firstBad } = this;
    return this.clock
      ? `${nBad} of ${nSamples} samples are NaN or infinite, the first near ${bad_s.toFixed(3)} s`
      : `sample ${firstBad} is NaN or infinite (${nBad} of ${nSamples} are)`;
  }
}

/** Return whether all samples are finite. */
function isWhole(channel: Float32Array): boolean {
  let zero = 0; // times 0, only what is not finite gives another number
  for (let t = 0; t < channel.length; t++) zero += channel[t] * 0;
  return zero === 0;
}
