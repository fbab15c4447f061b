/**
 * From many channels to one, without cancellation, comb filters or drowned speech.
 *
 * The same as `espressivo/audio/channels.py`: the channels of each second are compared
 * before they are mixed.
 */

import { Evidence } from "./channel-evidence";

export const MIXED = "mixed";
export const MONO = "mono";

const HOLD = 10; // seconds that may wait for evidence before the first choice
const FADE_S = 0.01;

/** Return probabilities of speech, one a frame, for a signal at 16 kHz. */
export type FindSpeech = (signal: Float32Array) => Promise<Float32Array>;

/** Return the name of one channel: mono, left, right, or channel 3 (from 1). */
export function channelName(index: number, nChannels: number): string {
  if (nChannels === 1) return MONO;
  return nChannels === 2 ? ["left", "right"][index] : `channel ${index + 1}`;
}

/** One signal from the channels of a recording, chosen second by second. */
export class ChannelMixer {
  /** Number of samples by choice: mono, mixed, left, right, channel 3, ... */
  readonly used = new Map<string, number>();
  /** Number of samples by the reason for which channels were left out. */
  readonly reasons = new Map<string, number>();
  private readonly length: number; // of a second, in samples
  private rest: (readonly Float32Array[])[] = []; // blocks, together less than a second
  private nRest = 0;
  private held: Float32Array[][] = [];
  private readonly evidence: Evidence;
  private choice: readonly number[] | null = null;

  constructor(
    private readonly nChannels: number,
    private readonly rate: number,
    findSpeech: FindSpeech,
  ) {
    this.length = secondOf(rate);
    this.evidence = new Evidence(nChannels, rate, findSpeech);
  }

  /** Return the mono samples that a block completes, at the channels' rate. */
  async push(block: readonly Float32Array[]): Promise<Float32Array> {
    if (this.nChannels === 1) {
      count(this.used, MONO, block[0].length);
      return block[0];
    }
    this.rest.push(block);
    this.nRest += block[0].length;
    if (this.nRest < this.length) return new Float32Array(0);
    const whole = this.gathered();
    const done: Float32Array[] = [];
    let at = 0;
    for (; at + this.length <= whole[0].length; at += this.length) {
      const span = whole.map((each) => each.slice(at, at + this.length));
      done.push(...(await this.add(span)));
    }
    this.rest = [whole.map((each) => each.slice(at))];
    this.nRest = whole[0].length - at;
    return joined(done);
  }

  /** Return the mono samples that the end of the recording completes. */
  async finish(): Promise<Float32Array> {
    const done = this.nRest ? await this.add(this.gathered()) : [];
    return joined([...done, ...this.release()]);
  }

  private gathered(): Float32Array[] {
    return Array.from({ length: this.nChannels }, (_, i) =>
      joined(this.rest.map((block) => block[i])),
    );
  }

  /** Add one second, and return what no longer waits for a choice. */
  private async add(span: Float32Array[]): Promise<Float32Array[]> {
    const isClear = await this.evidence.add(span);
    this.held.push(span);
    return this.choice === null && !isClear && this.held.length < HOLD
      ? []
      : this.release();
  }

  private release(): Float32Array[] {
    const { choice, reason } = this.evidence;
    const before = this.choice ?? choice;
    const parts = this.held.map((span) => meanOf(span, choice));
    if (parts.length && String(before) !== String(choice)) {
      fadeIn(parts[0], meanOf(this.held[0], before), Math.round(FADE_S * this.rate));
    }
    // Digital silence is of no channel.
    const sounding = this.held.filter((span) => span.some((each) => each.some(Boolean)));
    const nSamples = sounding.reduce((sum, span) => sum + span[0].length, 0);
    const name = choice.length > 1 ? MIXED : channelName(choice[0], this.nChannels);
    count(this.used, name, nSamples);
    if (reason) count(this.reasons, reason, nSamples);
    this.choice = choice;
    this.held = [];
    return parts;
  }
}

/** Return the samples of one second, within limits: damaged headers declare any rate. */
export function secondOf(rate: number): number {
  return Math.min(Math.max(rate, 4_000), 400_000);
}

export function count(counts: Map<string, number>, name: string, n: number): void {
  if (n) counts.set(name, (counts.get(name) ?? 0) + n);
}

export function joined(pieces: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(pieces.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function meanOf(span: readonly Float32Array[], choice: readonly number[]): Float32Array {
  const [first, ...others] = choice;
  const mean = span[first].slice();
  for (const i of others) for (let t = 0; t < mean.length; t++) mean[t] += span[i][t];
  if (others.length) for (let t = 0; t < mean.length; t++) mean[t] /= choice.length;
  return mean;
}

/** Let a signal begin as another one, over `most` samples. */
function fadeIn(signal: Float32Array, other: Float32Array, most: number): void {
  const n = Math.min(most, signal.length);
  for (let t = 0; t < n; t++) {
    const share = Math.fround(t / n);
    signal[t] = signal[t] * share + other[t] * (1 - share);
  }
}
