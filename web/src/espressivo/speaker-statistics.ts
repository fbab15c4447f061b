/**
 * Count, mean and squared deviations of a speaker's windows, mergeable in any order.
 *
 * The same as `espressivo/model/speaker_statistics.py`. They sum up one feature vector per
 * window: embedding, probabilities and their entropy. They contain no audio and no single
 * window.
 */

export interface SpeakerStatistics {
  readonly nWindows: number;
  readonly nRecordings: number;
  /** Duration of the speech in samples at 16 kHz. */
  readonly nSamples: number;
  readonly mean: Float64Array;
  /** Sum of squared deviations from the mean, per dimension. */
  readonly squares: Float64Array;
}

/** Return empty statistics. */
export function emptyStatistics(nFeatures: number): SpeakerStatistics {
  return {
    nWindows: 0,
    nRecordings: 0,
    nSamples: 0,
    mean: new Float64Array(nFeatures),
    squares: new Float64Array(nFeatures),
  };
}

/**
 * Merge two statistics; their order changes only rounding.
 *
 * Source: Chan et al. (1979), merging of means and sums of squares.
 */
export function merged(
  one: SpeakerStatistics,
  other: SpeakerStatistics,
): SpeakerStatistics {
  const n = one.nWindows + other.nWindows;
  const share = other.nWindows / Math.max(1, n);
  const apart = one.mean.map((mean, i) => other.mean[i] - mean);
  return {
    nWindows: n,
    nRecordings: one.nRecordings + other.nRecordings,
    nSamples: one.nSamples + other.nSamples,
    mean: one.mean.map((mean, i) => mean + apart[i] * share),
    squares: one.squares.map(
      (square, i) => square + other.squares[i] + apart[i] ** 2 * (one.nWindows * share),
    ),
  };
}

/** Return the statistics with one more window of the same recording. */
export function withWindow(
  speakerStatistics: SpeakerStatistics,
  traits: Float64Array,
  nSamples: number,
): SpeakerStatistics {
  const squares = new Float64Array(traits.length);
  return merged(speakerStatistics, {
    nWindows: 1,
    nRecordings: 0,
    nSamples,
    mean: traits,
    squares,
  });
}

/** Return the feature vector of one window: embedding, probabilities, their entropy in nats. */
export function speakerFeatures(
  embedding: ArrayLike<number>,
  probabilities: ArrayLike<number>,
): Float64Array {
  const p = Array.from(probabilities);
  const undecided = -p.reduce((sum, x) => sum + x * Math.log(Math.max(x, 1e-12)), 0);
  return Float64Array.from([...Array.from(embedding), ...p, undecided]);
}
