/**
 * Adaptation: where the emotions of a voice lie, inferred from unlabelled windows.
 *
 * The same as `espressivo/model/adaptation.py`, which explains the model and its sources:
 * the posterior of the means of the emotions for a speaker in a setting, by variational
 * Bayes, averaged over all possible sets of emotions; and the probabilities that follow.
 */

import {
  block,
  digamma,
  identity,
  inverted,
  kronecker,
  largestEigenvalue,
  logGamma,
  type Matrix,
  matrix,
  plus,
  product,
  quadratic,
  softmax,
  times,
  trace,
} from "./arithmetic";
import type { AdaptationCard } from "./card";
import { type WindowStatistics, weightOf } from "./window-statistics";

const LEAST = 1e-9; // smallest probability whose logarithm is taken
const N_ITERATIONS = 12;

/** What a history says of the means of the emotions. */
export interface Posterior {
  /** For each set of emotions: its probability, and the means if it is the right one. */
  readonly cases: readonly {
    readonly share: number;
    /** Expected means, one row per emotion. */
    readonly means: Matrix;
    /** Covariance of the means, emotion by emotion. */
    readonly covariance: Matrix;
  }[];
  /** Total weight of the history. */
  readonly weight: number;
  /** Means of the emotions over all voices. */
  readonly origin: Matrix;
}

/** A Gaussian distribution of the means of the emotions. */
interface Gaussian {
  readonly means: Matrix;
  readonly covariance: Matrix;
}

/** What a setting says of the means of the emotions of an unknown voice. */
export interface InSetting extends Gaussian {
  /** Total weight of the setting's history. */
  readonly weight: number;
}

/**
 * Return what is known of an unknown voice in a setting.
 *
 * @param setting Windows of many speakers, each recording of weight 1 (`asOne`); null: an
 *   unknown setting.
 */
export function inferSetting(
  card: AdaptationCard,
  setting: WindowStatistics | null,
): InSetting {
  const [offset, own] = card.speaker;
  const [room, tint] = card.setting;
  const before = { means: card.means, covariance: priorOf(card, room, tint) };
  const of = (known: Gaussian, weight: number) => ({
    means: known.means,
    covariance: plus(known.covariance, priorOf(card, offset, own)),
    weight,
  });
  if (!setting || !weightOf(setting)) return of(before, 0);
  // Here speakers differ too, and each recording is one of them.
  const found = posteriorOf(card, setting, before, plus(offset, own));
  return of(collapsed(found), found.weight);
}

/**
 * Return the posterior given a speaker's windows in a setting; null without a history.
 *
 * @param setting The setting, if it is known.
 */
export function infer(
  card: AdaptationCard,
  speaker: WindowStatistics | null,
  setting: InSetting = inferSetting(card, null),
): Posterior | null {
  const { means, covariance, weight } = setting;
  if (speaker && weightOf(speaker) > 0) {
    const found = posteriorOf(card, speaker, setting, null);
    return { ...found, weight: weight + found.weight };
  }
  if (!weight) return null;
  return { cases: [{ share: 1, means, covariance }], weight, origin: card.means };
}

/**
 * Return the adapted probabilities of one window.
 *
 * @param probabilities Probabilities of the plain model, returned as they are if there is
 *   no posterior.
 * @param voice Voice vector: dimensions, no-speech probability, axes.
 */
export function adapt(
  card: AdaptationCard,
  posterior: Posterior | null,
  probabilities: readonly number[],
  voice: ArrayLike<number>,
): readonly number[] {
  if (!posterior) return probabilities;
  const n = card.means.length;
  const d = card.means[0].length;
  const values = Array.from(voice);
  const [place, noise] = [values.slice(0, d), values[d]];
  const given: number[] = Array(n).fill(0);
  for (const { share, means, covariance } of posterior.cases) {
    const found = softmax(
      densities(card.means, identity(d), covariance).map((density, k) =>
        density(place, means[k]),
      ),
    );
    for (let k = 0; k < n; k++) given[k] += share * found[k];
  }
  const weight = weightAgainst(card, posterior);
  const logits = probabilities.map((plain, k) => {
    // Sound that is no speech has no emotion, whoever speaks.
    const p = (1 - noise) * given[k] + noise / n;
    return (
      (1 - weight) * Math.log(Math.max(plain, LEAST)) +
      weight * Math.log(Math.max(p, LEAST))
    );
  });
  return Array.from(Float32Array.from(softmax(logits)));
}

/** Return the weight of a posterior against the plain model, 0 to 1. */
export function weightAgainst({ patience }: AdaptationCard, { weight }: Posterior): number {
  return weight / (weight + patience);
}

/** Return the expected offset of the voice; 1 is the standard deviation of a window. */
export function offsetOf(posterior: Posterior): number[] {
  const { means } = collapsed(posterior);
  const { origin } = posterior;
  return origin[0].map(
    (_, i) => means.reduce((sum, row, k) => sum + row[i] - origin[k][i], 0) / means.length,
  );
}

/** Return the standard deviation of the offset before any history. */
export function priorDeviation({ means, speaker, setting }: AdaptationCard): number {
  const [offset, room] = [speaker[0], setting[0]];
  const each = times(plus(speaker[1], setting[1]), 1 / means.length);
  return Math.sqrt(trace(plus(plus(offset, room), each)) / offset.length);
}

/** Return the standard deviation of the offset after a history, root mean square over the dimensions. */
export function deviationOf(posterior: Posterior): number {
  const { means, covariance } = collapsed(posterior);
  const d = means[0].length;
  let sum = 0; // over the diagonals of all blocks
  covariance.forEach((row, i) => {
    row.forEach((x, j) => {
      if (i % d === j % d) sum += x;
    });
  });
  return Math.sqrt(sum / means.length ** 2 / d);
}

/**
 * Return how far a recording's voice is from a profile's; neither may be empty.
 *
 * The unit is the mean distance of recordings of the same speaker.
 */
export function distance(recording: WindowStatistics, profile: WindowStatistics): number {
  const n = profile.nWindows;
  const squares = recording.mean.map((mean, i) => (mean - profile.mean[i]) ** 2);
  // The mean of n windows varies too, by 1 / n of the variance of one window.
  return ((sumOf(squares) / squares.length) * n) / (n + 1);
}

/**
 * Return the largest variance of a history along any direction between speakers.
 *
 * One speaker's windows have variance 1 in the mean; those of two lie further apart.
 */
export function spread({ scatter, nWindows }: WindowStatistics): number {
  return largestEigenvalue(times(scatter, 1 / Math.max(1, nWindows - 1)));
}

/** Return mean and covariance over all sets of emotions. */
function collapsed({ cases }: Posterior): Gaussian {
  const weighted = cases.map(({ share, means }) => times(means, share));
  const means = weighted.reduce((sum, each) => plus(sum, each));
  const covariances = cases.map(({ share, means: mine, covariance }) => {
    const apart = mine.flatMap((row, k) => row.map((x, i) => x - means[k][i]));
    return matrix(apart.length, (i, j) => share * (covariance[i][j] + apart[i] * apart[j]));
  });
  return { means, covariance: covariances.reduce((sum, each) => plus(sum, each)) };
}

/** Return the covariance of means that move together, and apart. */
function priorOf({ means }: AdaptationCard, offset: Matrix, interaction: Matrix): Matrix {
  const n = means.length;
  const together = kronecker(
    matrix(n, () => 1),
    offset,
  );
  return plus(together, kronecker(identity(n), interaction));
}

/** Rows and weights of a history, and what is known before it. */
interface Given extends Gaussian {
  readonly rows: Matrix;
  readonly weights: readonly number[];
  /** Inverse of the prior covariance, and the logarithm of its determinant. */
  readonly precision: Matrix;
  readonly logPrecision: number;
  /** Covariance of a window around its mean, and its inverse. */
  readonly noise: Matrix;
  readonly inside: Matrix;
  readonly logInside: number;
}

/**
 * Return the posterior for a Gaussian prior of the means.
 *
 * @param speakers Covariance of what windows have beside their own scatter.
 */
function posteriorOf(
  card: AdaptationCard,
  history: WindowStatistics,
  before: Gaussian,
  speakers: Matrix | null,
): Posterior {
  const used = history.weights.map((_, i) => i).filter((i) => history.weights[i] > 0);
  const rows = used.map((i) => history.sums[i].map((sum) => sum / history.weights[i]));
  const discounted = used.map((i) => card.discount * history.weights[i]);
  const factor = Math.min(1, card.most / sumOf(discounted));
  const weights = discounted.map((weight) => weight * factor);
  const d = card.means[0].length;
  const noise = speakers ? plus(identity(d), speakers) : identity(d);
  const { inverse: precision, logDeterminant } = inverted(before.covariance);
  const scatter = inverted(noise);
  const given: Given = {
    ...before,
    rows,
    weights,
    precision,
    logPrecision: -logDeterminant,
    noise,
    inside: scatter.inverse,
    logInside: -scatter.logDeterminant,
  };
  const sets = setsOf(before.means.length);
  const found = sets.map((set) => fitted(card, given, set));
  const odds = sets.map(({ length }) =>
    length === before.means.length
      ? card.odds
      : 1 / sets.filter((each) => each.length === length).length,
  );
  const shares = softmax(found.map(({ evidence }, i) => evidence + Math.log(odds[i])));
  const cases = found.map(({ means, covariance }, i) => {
    return { share: shares[i], means, covariance };
  });
  return { cases, weight: sumOf(weights), origin: card.means };
}

/** Fit the means to a history in which only the emotions of one set occur. */
function fitted(
  { concentration }: AdaptationCard,
  given: Given,
  set: readonly number[],
): Gaussian & { evidence: number } {
  const { rows, weights, precision, inside } = given;
  const [n, d] = [given.means.length, given.means[0].length];
  const total = sumOf(weights);
  let { means, covariance } = given;
  let shares = set.map(() => 1 / set.length);
  let counts: number[] = [];
  let logPosterior = 0; // of the determinant of the posterior's precision
  // If there is one emotion, whose it is each window is known from the beginning.
  const nIterations = set.length === 1 ? 1 : N_ITERATIONS;
  for (let iteration = 0; iteration < nIterations; iteration++) {
    const density = densities(means, given.noise, covariance);
    counts = Array(n).fill(0);
    const gained = matrix(n, () => 0, d);
    rows.forEach((row, m) => {
      const logits = set.map((k, i) => density[k](row, means[k]) + Math.log(shares[i]));
      softmax(logits).forEach((share, i) => {
        const weight = weights[m] * share;
        counts[set[i]] += weight;
        for (let j = 0; j < d; j++) {
          gained[set[i]][j] += weight * (row[j] - given.means[set[i]][j]);
        }
      });
    });
    const learned = precision.map((row) => [...row]);
    for (const k of set) {
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++)
          learned[k * d + i][k * d + j] += counts[k] * inside[i][j];
      }
    }
    const solved = inverted(learned);
    covariance = solved.inverse;
    logPosterior = solved.logDeterminant;
    const pull = product(gained, inside).flat();
    const moved = covariance.map((row) => row.reduce((sum, x, i) => sum + x * pull[i], 0));
    means = given.means.map((row, k) => row.map((x, i) => x + moved[k * d + i]));
    const prior = concentration * set.length;
    shares = set.map((k) => (concentration + counts[k]) / (prior + total));
  }
  const dirichlet = set.map((k) => concentration + counts[k]);
  const expected = dirichlet.map((count) => digamma(count) - digamma(sumOf(dirichlet)));
  const fit = fitOf(given, set, { means, covariance }, expected);
  const moved = means.flatMap((row, k) => row.map((x, i) => x - given.means[k][i]));
  const ofMeans =
    (trace(product(precision, covariance)) +
      quadratic(moved, precision) -
      n * d -
      given.logPrecision +
      logPosterior) /
    2;
  const ofShares =
    logDirichlet(dirichlet) -
    logDirichlet(set.map(() => concentration)) +
    sumOf(dirichlet.map((count, i) => (count - concentration) * expected[i]));
  return { means, covariance, evidence: fit - ofMeans - ofShares };
}

/** Return the expected log likelihood of a history, the windows' emotions summed out. */
function fitOf(
  { rows, weights, inside, logInside }: Given,
  set: readonly number[],
  { means, covariance }: Gaussian,
  expected: readonly number[],
): number {
  const d = means[0].length;
  const constant = logInside - d * Math.log(2 * Math.PI);
  // The uncertainty of the means lowers the fit of every window.
  const lost = set.map((k) => trace(product(inside, block(covariance, k, d))));
  const fits = rows.map((row) => {
    const each = set.map((k, i) => {
      const apart = row.map((x, j) => x - means[k][j]);
      return expected[i] + (constant - quadratic(apart, inside) - lost[i]) / 2;
    });
    const top = Math.max(...each);
    return top + Math.log(sumOf(each.map((x) => Math.exp(x - top))));
  });
  return sumOf(fits.map((fit, m) => weights[m] * fit));
}

type Density = (row: readonly number[], mean: readonly number[]) => number;

/** Return the Gaussian log density of each emotion, up to a constant. */
function densities(means: Matrix, noise: Matrix, covariance: Matrix): Density[] {
  const d = noise.length;
  return means.map((_, k) => {
    const spreads = plus(noise, block(covariance, k, d));
    const { inverse, logDeterminant } = inverted(spreads);
    return (row, mean) => {
      let squared = 0; // of the distance; without arrays, since this is where time goes
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++) {
          squared += (row[i] - mean[i]) * inverse[i][j] * (row[j] - mean[j]);
        }
      }
      return -(squared + logDeterminant) / 2;
    };
  });
}

/** Return the log normalizer of a Dirichlet distribution. */
function logDirichlet(counts: readonly number[]): number {
  return logGamma(sumOf(counts)) - sumOf(counts.map(logGamma));
}

/** Return all nonempty sets of the numbers below n. */
function setsOf(n: number): number[][] {
  const members = (bits: number) =>
    Array.from({ length: n }, (_, i) => i).filter((i) => bits & (1 << i));
  return Array.from({ length: 2 ** n - 1 }, (_, i) => members(i + 1));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0);
}
