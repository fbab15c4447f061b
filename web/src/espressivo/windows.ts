/**
 * Segments of speech -> windows that the classifier takes, from a stream.
 *
 * As `espressivo/speech/windows.py` does it, line by line: a segment of at most `window`
 * samples is one window; up to twice that, two equal ones; a longer one gives off whole
 * windows until that holds for the rest.
 */

import { type Segment, samplesIn } from "./types";

/** One input of the classifier: where it lies and what is heard there. */
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

/** Cuts windows out of a signal as it passes by, keeping no more of it than it must. */
export class Windower {
  private buffer: Float32Array = new Float32Array(0);
  private offset = 0; // where the buffer begins in the recording
  private cutUntil = 0; // end of the last window of the open segment

  /**
   * @param window Longest window, in samples.
   * @param minimum Shortest that the classifier takes; shorter speech is widened evenly
   *   into what surrounds it.
   */
  constructor(
    private readonly window: number,
    private readonly minimum: number,
  ) {
    if (!(minimum > 0 && minimum <= window)) {
      throw new RangeError(`minimum is ${minimum}, not in 1..${window} (the window)`);
    }
  }

  /** How much of the recording has passed, in samples. */
  get nSamples(): number {
    return this.offset + this.buffer.length;
  }

  /** How much of it is held, in samples. */
  get nHeld(): number {
    return this.buffer.length;
  }

  push(block: Float32Array): void {
    const whole = new Float32Array(this.buffer.length + block.length);
    whole.set(this.buffer);
    whole.set(block, this.buffer.length);
    this.buffer = whole;
  }

  /** Return the windows that are certain while `segment` still goes on. */
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

  /** Return the rest of a finished segment's windows. */
  cutClosed(segment: Segment): Window[] {
    const start = Math.max(segment.start, this.cutUntil);
    const rest = planWindows({ start, end: segment.end }, this.window);
    return rest.map((each) => this.at(each));
  }

  /**
   * Return what is being said now, before its window is certain: the open segment's
   * newest samples, at most a window. Null when that is less than `least` samples.
   */
  peek(segment: Segment, least: number): Window | null {
    const from = Math.max(segment.start, this.cutUntil, segment.end - this.window);
    const span = { start: from, end: Math.min(segment.end, this.nSamples) };
    return samplesIn(span) < Math.max(least, this.minimum) ? null : this.at(span);
  }

  /**
   * Drop the samples that no window can reach any more.
   *
   * @param before No window yet to come begins before this sample, but for what is added
   *   to make it long enough.
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
    const heard = this.buffer.slice(start - this.offset, end - this.offset);
    if (heard.length >= this.minimum) return { segment, signal: heard };
    // Only when the whole recording is shorter than the minimum.
    const signal = new Float32Array(this.minimum);
    signal.set(heard);
    return { segment, signal };
  }
}
