/**
 * Statistics of windows, from which adaptation infers; they merge in any order.
 *
 * The same as `espressivo/model/window_statistics.py`. A window has a voice vector:
 * dimensions in which emotions differ within one speaker, the probability that the window
 * is no speech, and axes in which speakers differ. The first are counted in a grid of
 * cells, the last are summed up. The statistics contain no audio.
 */

import { isCovariance, type Matrix, matrix, trace } from "./arithmetic";

const HALF = 8; // cells on either side of the origin; a cell is one standard deviation wide
const LARGEST = 1e6; // coordinate of a window, in standard deviations
const LEAST = 1e-20; // a window's weight is a difference of float32, over some thousands

export interface WindowStatistics {
  readonly nWindows: number;
  readonly nRecordings: number;
  /** Duration of the windows in samples at 16 kHz. */
  readonly nSamples: number;
  /** Number of dimensions in which emotions differ. */
  readonly nDims: number;
  /** Coordinates of the cells that hold windows, sorted. */
  readonly cells: Matrix;
  /** Weight of the windows in each cell. */
  readonly weights: readonly number[];
  /** Weighted sum of the windows in each cell. */
  readonly sums: Matrix;
  /** Mean along the axes. */
  readonly mean: readonly number[];
  /** Sum of the outer products of deviations from the mean. */
  readonly scatter: Matrix;
}

/** Return statistics of no windows. */
export function emptyStatistics(nDims: number, nAxes: number): WindowStatistics {
  return {
    nWindows: 0,
    nRecordings: 0,
    nSamples: 0,
    nDims,
    cells: [],
    weights: [],
    sums: [],
    mean: Array(nAxes).fill(0),
    scatter: matrix(nAxes, () => 0),
  };
}

/** Return the total weight of the windows. */
export function weightOf({ weights }: WindowStatistics): number {
  return weights.reduce((sum, weight) => sum + weight, 0);
}

/**
 * Merge two statistics; their order changes only rounding.
 *
 * Source: Chan et al. (1979), pairwise update of mean and sum of squares.
 */
export function merged(one: WindowStatistics, other: WindowStatistics): WindowStatistics {
  const n = one.nWindows + other.nWindows;
  const share = other.nWindows / Math.max(1, n);
  const apart = one.mean.map((mean, i) => other.mean[i] - mean);
  const outer = one.nWindows * share;
  return {
    nWindows: n,
    nRecordings: one.nRecordings + other.nRecordings,
    nSamples: one.nSamples + other.nSamples,
    nDims: one.nDims,
    ...mergedCells(one, other),
    mean: one.mean.map((mean, i) => mean + apart[i] * share),
    scatter: matrix(
      apart.length,
      (i, j) => one.scatter[i][j] + other.scatter[i][j] + apart[i] * apart[j] * outer,
    ),
  };
}

/**
 * Return the statistics with one more window of the same recording.
 *
 * @param voice Voice vector: dimensions, no-speech probability, axes.
 */
export function withWindow(
  statistics: WindowStatistics,
  voice: ArrayLike<number>,
  nSamples: number,
): WindowStatistics {
  const { nDims } = statistics;
  const values = Array.from(voice);
  const place = values.slice(0, nDims);
  const axes = values.slice(nDims + 1);
  // What is probably no speech says nothing of a voice.
  const weight = Math.max(0, 1 - values[nDims]); // a softmax may exceed 1
  return merged(statistics, {
    ...emptyStatistics(nDims, axes.length),
    nWindows: 1,
    nSamples,
    cells: [place.map((x) => Math.min(HALF - 1, Math.max(-HALF, Math.floor(x))))],
    weights: [weight],
    sums: [place.map((x) => weight * x)],
    mean: axes,
  });
}

/**
 * Return the statistics with the weight of one window, for a setting.
 *
 * A setting is learned from many people: each of their recordings counts once, whatever
 * its length.
 */
export function asOne(statistics: WindowStatistics): WindowStatistics {
  const factor = 1 / Math.max(1, statistics.nWindows);
  const { weights, sums } = statistics;
  return {
    ...statistics,
    weights: weights.map((weight) => weight * factor),
    sums: sums.map((sum) => sum.map((x) => x * factor)),
  };
}

/**
 * Check statistics from a file.
 *
 * @throws Error There are no windows of which these are the statistics.
 */
export function requirePossible(statistics: WindowStatistics): void {
  const { nWindows, nDims, cells, weights, sums, mean, scatter } = statistics;
  const most = 1 + 1e-9; // sums are rounded
  const large = (values: readonly number[], limit: number) =>
    values.some((x) => Math.abs(x) > limit);
  const faults: [text: string, there: boolean][] = [
    ["there are no dimensions or no axes", nDims === 0 || mean.length === 0],
    [
      "weights are below 0, or more than there are windows",
      weights.some((x) => x < 0) || weightOf(statistics) > nWindows * most,
    ],
    ["weights are too small for those of windows", weights.some((x) => x > 0 && x < LEAST)],
    ["cells lie outside the grid", cells.flat().some((x) => x < -HALF || x >= HALF)],
    ["cells occur twice", new Set(cells.map(String)).size < cells.length],
    [
      "sums are too large for their weights",
      sums.some((row, i) => large(row, LARGEST * most * weights[i])),
    ],
    [
      "mean or scatter is too large",
      large(mean, LARGEST) || large(scatter.flat(), LARGEST ** 2 * Math.max(1, nWindows)),
    ],
    [
      "scatter is no sum of squares",
      !isCovariance(scatter, 1e-6 * Math.max(1, trace(scatter))),
    ],
  ];
  const fault = faults.find(([, there]) => there);
  if (fault) throw new Error(fault[0]);
}

type Cells = Pick<WindowStatistics, "cells" | "weights" | "sums">;

function mergedCells(...parts: readonly [Cells, Cells]): Cells {
  const found = new Map<
    string,
    { cell: readonly number[]; weight: number; sum: number[] }
  >();
  for (const { cells, weights, sums } of parts) {
    cells.forEach((cell, i) => {
      const before = found.get(cell.join()) ?? { cell, weight: 0, sum: cell.map(() => 0) };
      const weight = before.weight + weights[i];
      const sum = before.sum.map((x, k) => x + sums[i][k]);
      found.set(cell.join(), { cell, weight, sum });
    });
  }
  const sorted = [...found.values()].sort((a, b) => compared(a.cell, b.cell));
  return {
    cells: sorted.map(({ cell }) => cell),
    weights: sorted.map(({ weight }) => weight),
    sums: sorted.map(({ sum }) => sum),
  };
}

function compared(one: readonly number[], other: readonly number[]): number {
  const i = one.findIndex((x, k) => x !== other[k]);
  return i < 0 ? 0 : one[i] - other[i];
}
