import { describe, expect, test } from "vitest";
import {
  asOne,
  emptyStatistics,
  merged,
  type WindowStatistics,
  weightOf,
  withWindow,
} from "../src/espressivo/window-statistics";
import { Random } from "./random";

const [N_DIMS, N_AXES] = [3, 2];

interface Drawn {
  readonly voice: number[];
  readonly nSamples: number;
}

function drawn(random: Random): Drawn {
  const places = Array.from({ length: N_DIMS }, () => 24 * random.next() - 12);
  const axes = Array.from({ length: N_AXES }, () => 10 * random.next() - 5);
  const voice = [...places, random.next() ** 3, ...axes];
  return { voice, nSamples: random.integer(8_000, 128_000) };
}

function statisticsOf(windows: readonly Drawn[]): WindowStatistics {
  return windows.reduce(
    (statistics, { voice, nSamples }) => withWindow(statistics, voice, nSamples),
    emptyStatistics(N_DIMS, N_AXES),
  );
}

function requireClose(one: WindowStatistics, other: WindowStatistics): void {
  const counts = (each: WindowStatistics) => [
    each.nWindows,
    each.nRecordings,
    each.nSamples,
    each.nDims,
    each.cells,
  ];
  expect(counts(one)).toEqual(counts(other));
  const sums = ({ weights, sums, mean, scatter }: WindowStatistics) =>
    [weights, sums, mean, scatter].flat(2);
  sums(one).forEach((sum, i) => {
    expect(sum).toBeCloseTo(sums(other)[i], 8);
  });
}

describe("statistics of windows", () => {
  const random = new Random(1);
  const windows = Array.from({ length: 30 }, () => drawn(random));
  const whole = statisticsOf(windows);

  test("are weight and sum of each cell, and mean and scatter along the axes", () => {
    expect([whole.nWindows, whole.nRecordings]).toEqual([30, 0]);
    expect(whole.nSamples).toBe(windows.reduce((sum, each) => sum + each.nSamples, 0));
    const weight = windows.reduce((sum, { voice }) => sum + 1 - voice[N_DIMS], 0);
    expect(weightOf(whole)).toBeCloseTo(weight, 10);
    for (let k = 0; k < N_DIMS; k++) {
      const sum = windows.reduce((x, { voice }) => x + voice[k] * (1 - voice[N_DIMS]), 0);
      expect(whole.sums.reduce((x, row) => x + row[k], 0)).toBeCloseTo(sum, 10);
    }
    const axes = windows.map(({ voice }) => voice.slice(N_DIMS + 1));
    const mean = [0, 1].map((i) => axes.reduce((sum, x) => sum + x[i], 0) / 30);
    mean.forEach((x, i) => {
      expect(whole.mean[i]).toBeCloseTo(x, 10);
    });
    const scatter = axes.reduce((sum, x) => sum + (x[0] - mean[0]) * (x[1] - mean[1]), 0);
    expect(whole.scatter[0][1]).toBeCloseTo(scatter, 8);
    expect(whole.scatter[1][0]).toBeCloseTo(scatter, 8);
  });

  test("count what is far out in the outermost cells, which are sorted", () => {
    const { cells } = whole;
    expect(Math.min(...cells.flat())).toBe(-8);
    expect(Math.max(...cells.flat())).toBe(7);
    const places = cells.map((cell) => cell.reduce((sum, x) => 16 * sum + x + 8, 0));
    expect([...places].sort((a, b) => a - b)).toEqual(places);
  });

  test.each([...Array(10).keys()])("do not depend on the order (%i)", (seed) => {
    const places = new Random(seed);
    const shuffled = [...windows];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = places.integer(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    requireClose(statisticsOf(shuffled), whole);
    const [a, b] = places.integers(2, 0, 30).sort((x, y) => x - y);
    const parts = [windows.slice(0, a), windows.slice(a, b), windows.slice(b)];
    const [one, two, three] = parts.map(statisticsOf);
    requireClose(merged(merged(one, two), three), whole);
    requireClose(merged(three, merged(two, one)), whole);
  });

  test("are not changed by hearing nothing", () => {
    const nothing = emptyStatistics(N_DIMS, N_AXES);
    expect(merged(whole, nothing)).toEqual(whole);
    requireClose(merged(nothing, whole), whole);
    expect(merged(nothing, nothing)).toEqual(nothing);
  });

  test("learn nothing of emotions from what is no speech", () => {
    for (const noise of [1, 1 + 2 ** -23]) {
      const [voice] = windows.map((each) => each.voice.with(N_DIMS, noise));
      expect(weightOf(withWindow(emptyStatistics(N_DIMS, N_AXES), voice, 1))).toBe(0);
    }
  });

  test("leave what they were made of as it was", () => {
    const before = structuredClone(whole);
    withWindow(whole, windows[0].voice, 1);
    merged(whole, whole);
    asOne(whole);
    expect(whole).toEqual(before);
  });

  test("of a recording in a setting weigh one window", () => {
    const one = asOne(whole);
    const share = weightOf(whole) / whole.nWindows;
    expect(weightOf(one)).toBeCloseTo(share, 12);
    expect({ ...one, weights: 0, sums: 0 }).toEqual({ ...whole, weights: 0, sums: 0 });
    const nothing = emptyStatistics(N_DIMS, N_AXES);
    expect(asOne(nothing)).toEqual(nothing);
  });
});
