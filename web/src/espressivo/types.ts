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

/** Probability of each emotion, in the model's order; they sum to 1. */
export type Distribution = Readonly<Record<Emotion, number>>;

/** Arousal and the like, 0 to 1: those that the model has, in its order. */
export type Dimensions = Readonly<Partial<Record<Dimension, number>>>;

/** Emotion probabilities, and dimensions, of one window. */
export interface Estimate {
  readonly segment: Segment;
  /** Most probable emotion; of equal ones the first. */
  readonly emotion: Emotion;
  readonly probabilities: Distribution;
  /** Null if the model has none. */
  readonly dimensions: Dimensions | null;
}

/** Return the estimate of a window from the outputs of a model, in the order of names. */
export function estimateOf(
  segment: Segment,
  names: {
    readonly emotions: readonly Emotion[];
    readonly dimensions: readonly Dimension[];
  },
  probabilities: readonly number[],
  dimensions: readonly number[],
): Estimate {
  const named = (keys: readonly string[], values: readonly number[]) =>
    Object.fromEntries(keys.map((key, i) => [key, values[i]]));
  return {
    segment,
    emotion: names.emotions[probabilities.indexOf(Math.max(...probabilities))],
    probabilities: named(names.emotions, probabilities) as Distribution,
    dimensions: names.dimensions.length ? named(names.dimensions, dimensions) : null,
  };
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
