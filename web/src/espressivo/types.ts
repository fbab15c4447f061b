/** Samples per second (Hz) of every signal inside the package. */
export const SAMPLE_RATE = 16_000;

/** The four classes, in the order that every table and model uses. */
export const EMOTIONS = ["anger", "happiness", "neutral", "sadness"] as const;
export type Emotion = (typeof EMOTIONS)[number];

/** Continuous dimensions of emotion, each from 0 to 1; 0.5 is neutral. */
export const DIMENSIONS = ["arousal", "valence", "dominance"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** A span of a recording, in samples at 16 kHz, end exclusive. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** Emotion probabilities, and dimensions, of one window. */
export interface Estimate {
  readonly segment: Segment;
  /** One value per emotion, in the model's order; they sum to 1. */
  readonly probabilities: readonly number[];
  /** Arousal and the like, 0 to 1, in the model's order; empty if the model has none. */
  readonly dimensions: readonly number[];
}

export function samplesIn(segment: Segment): number {
  return segment.end - segment.start;
}

/** Result of one push to a stream. */
export interface StreamUpdate {
  /** Estimates of completed windows, oldest first. */
  readonly estimates: Estimate[];
  /** Provisional estimate of the open segment; null between segments. */
  readonly provisional: Estimate | null;
  /** Seconds of the recording so far. */
  readonly duration_s: number;
  /** Whether speech continues at its end. */
  readonly speaking: boolean;
}
