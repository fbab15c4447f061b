/**
 * What was heard of one voice: sums that can be merged in any order.
 *
 * As `espressivo/model/speaker_statistics.py`. Of every window a row of traits is kept account of: the
 * model's embedding, the probabilities it gave, and how undecided it was. Never the
 * audio, never a window.
 */

export interface Voice {
  readonly nWindows: number;
  readonly nRecordings: number;
  /** Of how much speech, in samples at 16 kHz. */
  readonly nSamples: number;
  readonly mean: Float64Array;
  /** Sum of squared distances from the mean. */
  readonly squares: Float64Array;
}

/** Return the voice of which nothing was heard. */
export function unheard(nTraits: number): Voice {
  return {
    nWindows: 0,
    nRecordings: 0,
    nSamples: 0,
    mean: new Float64Array(nTraits),
    squares: new Float64Array(nTraits),
  };
}

/**
 * Return what both together have heard; the order changes only rounding.
 *
 * Source: Chan et al. (1979), merging of means and sums of squares.
 */
export function merged(one: Voice, other: Voice): Voice {
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

/** Return what has been heard after one more window of the same recording. */
export function withWindow(voice: Voice, traits: Float64Array, nSamples: number): Voice {
  const squares = new Float64Array(traits.length);
  return merged(voice, { nWindows: 1, nRecordings: 0, nSamples, mean: traits, squares });
}

/** Lay out the traits of one window: embedding, probabilities, their entropy in nats. */
export function traitsOf(
  embedding: ArrayLike<number>,
  probabilities: ArrayLike<number>,
): Float64Array {
  const p = Array.from(probabilities);
  const undecided = -p.reduce((sum, x) => sum + x * Math.log(Math.max(x, 1e-12)), 0);
  return Float64Array.from([...Array.from(embedding), ...p, undecided]);
}
