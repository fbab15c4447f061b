/**
 * Cut segments of speech into windows for the classifier, from a stream.
 *
 * The same as `espressivo/speech/windows.py`, line by line: a segment of at most `window`
 * samples is one window, one of up to twice that two equal windows. A longer segment is
 * cut into whole windows until the rest is at most twice as long.
 */

import { type Segment, samplesIn } from "./types";

const OFFSET = 0.01; // least mean that is an offset, relative to the peak

/** One input of the classifier: its span and its samples. */
export interface Window {
  readonly segment: Segment;
  readonly signal: Float32Array;
}

/** Cut one segment into windows of at most `window` samples, in order. */
export function planWindows(segment: Segment, window: number): Segment[] {
  let start = segment.start;
  const windows: Segment[] = [];
  while (segment.end - start > 2 * window) {
    windows.push({ start, end: start + window });
    start += window;
  }
  if (segment.end - start <= window) return [...windows, { start, end: segment.end }];
  const middle = start + Math.floor((segment.end - start + 1) / 2);
  return [...windows, { start, end: middle }, { start: middle, end: segment.end }];
}

/** Cutter of windows from a stream, with a buffer as short as possible. */
export class Windower {
  private buffer: Float32Array = new Float32Array(0);
  private offset = 0; // start of the buffer in the recording
  private cutUntil = 0; // end of the last window of the open segment

  /**
   * @param window Length of the longest window, in samples.
   * @param minimum Length of the shortest window, in samples; shorter speech is extended
   *   evenly into its surroundings.
   */
  constructor(
    private readonly window: number,
    private readonly minimum: number,
  ) {
    if (!(minimum > 0 && minimum <= window)) {
      throw new RangeError(`minimum is ${minimum}, not in 1..${window} (the window)`);
    }
  }

  /** Samples of the recording so far. */
  get nSamples(): number {
    return this.offset + this.buffer.length;
  }

  /** Samples in the buffer. */
  get nHeld(): number {
    return this.buffer.length;
  }

  push(block: Float32Array): void {
    const whole = new Float32Array(this.buffer.length + block.length);
    whole.set(this.buffer);
    whole.set(block, this.buffer.length);
    this.buffer = whole;
  }

  /** Return the windows of an open segment that cannot change any more. */
  cutOpen(segment: Segment): Window[] {
    let start = Math.max(segment.start, this.cutUntil);
    const windows: Window[] = [];
    while (segment.end - start > 2 * this.window) {
      windows.push(this.at({ start, end: start + this.window }));
      start += this.window;
      this.cutUntil = start;
    }
    return windows;
  }

  /** Return the remaining windows of a finished segment. */
  cutClosed(segment: Segment): Window[] {
    const start = Math.max(segment.start, this.cutUntil);
    const rest = planWindows({ start, end: segment.end }, this.window);
    return rest.map((each) => this.at(each));
  }

  /**
   * Return a provisional window: the newest samples of the open segment, at most one
   * window. Null if the segment has fewer than `least` samples.
   */
  peek(segment: Segment, least: number): Window | null {
    const from = Math.max(segment.start, this.cutUntil, segment.end - this.window);
    const span = { start: from, end: Math.min(segment.end, this.nSamples) };
    return samplesIn(span) < Math.max(least, this.minimum) ? null : this.at(span);
  }

  /**
   * Drop the samples that no later window can contain.
   *
   * @param before Earliest possible start of the next window, in samples; a window that
   *   is extended to the minimum may begin up to `minimum` earlier.
   */
  forget(before: number): void {
    const keepFrom = Math.max(before, this.cutUntil) - this.minimum;
    const drop = Math.min(Math.max(0, keepFrom - this.offset), this.buffer.length);
    this.buffer = this.buffer.slice(drop);
    this.offset += drop;
  }

  private at(wanted: Segment): Window {
    let segment = wanted;
    const missing = this.minimum - samplesIn(segment);
    if (missing > 0) {
      const start = Math.max(0, segment.start - Math.floor(missing / 2));
      const end = Math.min(start + this.minimum, this.nSamples);
      segment = { start: Math.max(0, end - this.minimum), end };
    }
    const { start, end } = segment;
    const kept = centred(this.buffer.slice(start - this.offset, end - this.offset));
    if (kept.length >= this.minimum) return { segment, signal: kept };
    // This happens only if the whole recording is shorter than the minimum.
    const signal = new Float32Array(this.minimum);
    signal.set(kept);
    return { segment, signal };
  }
}

/** Remove the offset of a signal in place: models take it for loudness. */
function centred(signal: Float32Array): Float32Array {
  if (!signal.length) return signal;
  let sum = 0;
  let peak = 0;
  for (const sample of signal) {
    sum += sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  const mean = sum / signal.length;
  // Without an offset, the mean stays: digital silence would become one.
  if (Math.abs(mean) < OFFSET * peak) return signal;
  const offset = Math.fround(mean);
  for (let i = 0; i < signal.length; i++) signal[i] -= offset;
  return signal;
}
