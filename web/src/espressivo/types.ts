/** Samples per second (Hz) of every signal inside the package. */
export const SAMPLE_RATE = 16_000;

/** The four classes, in the order that every table and model uses. */
export const EMOTIONS = ["anger", "happiness", "neutral", "sadness"] as const;
export type Emotion = (typeof EMOTIONS)[number];

/** A span of a recording, in samples at 16 kHz, end exclusive. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** What the classifier says about one window; one probability an emotion, summing to 1. */
export interface Estimate {
  readonly segment: Segment;
  readonly probabilities: readonly number[];
}

export function samplesIn(segment: Segment): number {
  return segment.end - segment.start;
}

/** What a push brought. */
export interface StreamUpdate {
  /** Windows that are certain, oldest first. */
  readonly estimates: Estimate[];
  /** What is being said now, before its window is certain; null between segments. */
  readonly provisional: Estimate | null;
  /** Seconds of the recording that have passed. */
  readonly duration_s: number;
  /** Whether someone speaks at its end. */
  readonly speaking: boolean;
}

/** Where a model is computed. */
export type Backend = "wasm" | "webgpu";
