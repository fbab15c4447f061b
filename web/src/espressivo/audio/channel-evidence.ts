/** What the seconds of a recording say about its channels, as in Python. */

import { SAMPLE_RATE } from "../types";
import type { FindSpeech } from "./channels";
import { crossCorrelation } from "./correlation";
import { toEven } from "./resample";

const SILENCE = 1e-12; // mean power of a differenced signal; digital silence, its dither
const PAUSE = 0.01; // power relative to the mean of earlier seconds; less is no evidence
const AUDIBLE = 1e-6; // power relative to the loudest channel; less is left out
const LOUD = 0.01; // the same; a channel above it is not left out without a reason
const MEMORY = 0.98; // weight of the power of the second before
const LONGEST_DELAY_S = 0.03;
const ALIKE = 0.8; // correlation without delay above which channels are copies
const RELATED = 0.5; // correlation at some delay above which one sound is in both
const LOW_STEP = 4; // of 16 kHz to 4 kHz
const FORGIVE_S = 5; // seconds without cancellation after which channels mix again
const LOUDER = 2; // power ratio at which another channel of the same sound is preferred
// Speech is looked for in the first seconds in which channels differ, then in every
// tenth, or if a channel that is left out has sound.
const FIRST_S = 30;
const LATER_S = 10;
const SPEECH_MEMORY = 0.9;
const LEAST_SPEECH = 8; // frames of one second
const SPEECH_SHARE = 0.5; // of the channel with the most speech

export class Evidence {
  /** Indices of the channels to mix. */
  choice: readonly number[];
  /** Why channels with sound are left out: "cancel", "speech", or "". */
  reason = "";
  private readonly step: number;
  private readonly power: Float64Array; // decayed sum over seconds
  private weight = 0;
  private readonly speech: Float64Array; // decayed number of frames with speech
  private nDifferent = 0;
  // Seconds for which a pair of channels still counts as one that cancels.
  private readonly cancels: Int32Array[];
  private main = 0;

  constructor(
    private readonly n: number,
    private readonly rate: number,
    private readonly findSpeech: FindSpeech,
  ) {
    this.step = Math.max(1, toEven(rate / SAMPLE_RATE));
    this.power = new Float64Array(n);
    this.speech = new Float64Array(n);
    this.cancels = Array.from({ length: n }, () => new Int32Array(n));
    this.choice = Array.from({ length: n }, (_, i) => i);
  }

  /** Add one second of all channels; return whether the choice is clear. */
  async add(span: readonly Float32Array[]): Promise<boolean> {
    const [first, ...others] = span;
    if (others.every((other) => isSame(other, first))) {
      this.forgive(); // most stereo files: one sound, twice
      return first.some((sample) => sample !== 0);
    }
    const slow = span.map((channel) => summed(channel, this.step));
    const bands = [slow, slow.map((each) => summed(each, LOW_STEP))].map((each) =>
      each.map(differenced),
    );
    const [sharp] = bands;
    const power = sharp.map((each) => dot(each, each) / Math.max(1, each.length));
    const loudest = Math.max(...power);
    const usual = Math.max(...this.power) / Math.max(this.weight, 1);
    if (loudest < Math.max(SILENCE, PAUSE * usual)) return false;
    for (let i = 0; i < this.n; i++) this.power[i] = MEMORY * this.power[i] + power[i];
    this.weight = MEMORY * this.weight + 1;
    const most = Math.max(...this.power);
    const share = power.map((each, i) => Math.max(this.power[i] / most, each / loudest));
    const audible = share.flatMap((each, i) => (each >= AUDIBLE ? [i] : []));
    if (this.choice.length === 1) this.main = this.choice[0];
    if (power[this.main] * LOUDER < loudest) this.main = power.indexOf(loudest);
    let withSpeech: readonly number[] = audible;
    let isKnown = true;
    this.forgive();
    if (this.differ(bands, audible)) {
      withSpeech = await this.withSpeech(span, audible, power);
      isKnown = this.speech.some((each) => each > 0);
      if (!withSpeech.includes(this.main)) {
        this.main = withSpeech.reduce((best, i) => (power[i] > power[best] ? i : best));
        this.differ(bands, withSpeech);
      }
    }
    this.choose(audible, withSpeech, share);
    return isKnown;
  }

  /** Compare channels with the main one; return whether some hold other sounds. */
  private differ(bands: readonly Float32Array[][], audible: readonly number[]): boolean {
    const { main, cancels } = this;
    const most = toEven((LONGEST_DELAY_S * this.rate) / this.step);
    let isDifferent = false;
    for (const i of audible) {
      if (i === main) continue;
      if (bands.every((band) => alike(band[main], band[i]) >= ALIKE)) continue;
      // Noise hides a sound in the high frequencies first.
      const [sharp, low] = bands;
      const related = [
        peakOf(sharp[main], sharp[i], most),
        peakOf(low[main], low[i], Math.floor(most / LOW_STEP)),
      ].filter(({ peak }) => Math.abs(peak) >= RELATED);
      if (related.length === 0) isDifferent = true;
      else if (related.some(({ peak, lag }) => peak < 0 || Math.abs(lag) > 1)) {
        cancels[main][i] = cancels[i][main] = FORGIVE_S + 1;
      }
    }
    return isDifferent;
  }

  private forgive(): void {
    for (const row of this.cancels) {
      for (let i = 0; i < this.n; i++) row[i] = Math.max(row[i] - 1, 0);
    }
  }

  /** Return the audible channels with speech; all of them if none has any. */
  private async withSpeech(
    span: readonly Float32Array[],
    audible: readonly number[],
    power: readonly number[],
  ): Promise<readonly number[]> {
    this.nDifferent += 1;
    const now = new Float64Array(this.n);
    const loud = LOUD * Math.max(...power);
    const isMissed = audible.some((i) => !this.choice.includes(i) && power[i] >= loud);
    if (this.nDifferent <= FIRST_S || this.nDifferent % LATER_S === 0 || isMissed) {
      for (const i of audible) {
        const found = await this.findSpeech(at16kHz(span[i], this.rate, this.step));
        now[i] = found.filter((probability) => probability >= 0.5).length;
      }
      for (let i = 0; i < this.n; i++) {
        this.speech[i] = SPEECH_MEMORY * this.speech[i] + now[i];
      }
    }
    const most = Math.max(...this.speech);
    if (most === 0) return audible;
    const least = Math.max(LEAST_SPEECH, SPEECH_SHARE * Math.max(...now));
    const enough = (i: number) => this.speech[i] >= SPEECH_SHARE * most || now[i] >= least;
    const found = audible.filter(enough);
    return found.length ? found : audible; // the speaker fell silent
  }

  private choose(
    audible: readonly number[],
    withSpeech: readonly number[],
    share: readonly number[],
  ): void {
    const kept = withSpeech.filter((i) => !this.cancels[this.main][i]);
    const isLeftOut = (i: number) => !kept.includes(i) && share[i] >= LOUD;
    this.choice = kept;
    this.reason = "";
    if (audible.some(isLeftOut)) this.reason = "speech";
    if (withSpeech.some(isLeftOut)) this.reason = "cancel";
  }
}

/**
 * Return the differences of neighbours, so that all of speech counts.
 *
 * Without them, the strong low frequencies hide short delays.
 */
function differenced(slow: Float32Array): Float32Array {
  const sharp = new Float32Array(Math.max(0, slow.length - 1));
  for (let t = 0; t < sharp.length; t++) sharp[t] = slow[t + 1] - slow[t];
  return sharp;
}

/** Return the correlation of two channels without delay. */
function alike(one: Float32Array, other: Float32Array): number {
  const scale = Math.sqrt(dot(one, one) * dot(other, other));
  return dot(one, other) / Math.max(scale, 1e-30);
}

/** Return the largest correlation of two channels within some lags, and its lag. */
function peakOf(
  one: Float32Array,
  other: Float32Array,
  most: number,
): { peak: number; lag: number } {
  const scale = Math.sqrt(dot(one, one)) * Math.sqrt(dot(other, other));
  if (scale === 0) return { peak: 0, lag: 0 }; // else rounding would be divided by it
  const cross = crossCorrelation(other, one, most);
  const at = loudestIn(cross);
  return { peak: cross[at] / Math.max(scale, 1e-15), lag: at - most };
}

/** Return a rough copy of a channel, good enough to tell speech from noise. */
function at16kHz(channel: Float32Array, rate: number, step: number): Float32Array {
  const slow = summed(channel, step);
  const last = slow.length - 1;
  const length = toEven((slow.length * step * SAMPLE_RATE) / rate);
  return Float32Array.from({ length }, (_, i) => {
    const at = Math.min((i * rate) / step / SAMPLE_RATE, last);
    const from = Math.floor(at);
    const next = slow[Math.min(from + 1, last)];
    return (slow[from] + (at - from) * (next - slow[from])) / step;
  });
}

/** Return the sums of every `step` samples. */
function summed(channel: Float32Array, step: number): Float32Array {
  const sums = new Float32Array(Math.floor(channel.length / step));
  for (let t = 0; t < sums.length; t++) {
    for (let i = 0; i < step; i++) sums[t] += channel[t * step + i];
  }
  return sums;
}

function isSame(one: Float32Array, other: Float32Array): boolean {
  for (let t = 0; t < one.length; t++) if (one[t] !== other[t]) return false;
  return true;
}

function dot(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let t = 0; t < one.length; t++) sum += one[t] * other[t];
  return sum;
}

/** Return where the absolute value is the largest; the first of ties. */
function loudestIn(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
  }
  return best;
}
