// What the app draws of a report, before it is drawn; the browser tests look at the rest.

import { describe, expect, test } from "vitest";
import { heightsOf } from "../src/app/drawing";
import { strongestMoments } from "../src/app/moments";
import { pathOf } from "../src/app/path";
import { Report, type ReportFields } from "../src/espressivo/report";
import { type Dimension, EMOTIONS, estimateOf, SAMPLE_RATE } from "../src/espressivo/types";
import { Random } from "./random";

const S = SAMPLE_RATE;

/** A report of windows of 4 s, a second apart. */
function reportOf(
  estimates: readonly { probabilities: number[]; dimensions: number[] }[],
  dimensionNames: readonly Dimension[] = ["arousal", "valence"],
): Report {
  const names = { emotions: EMOTIONS, dimensions: dimensionNames };
  const placed = estimates.map(({ probabilities, dimensions }, i) => {
    const segment = { start: 5 * S * i, end: 5 * S * i + 4 * S };
    return estimateOf(segment, names, probabilities, dimensions);
  });
  return new Report({
    emotions: EMOTIONS,
    dimensionNames,
    estimates: placed,
    certainty: null,
  } as Partial<ReportFields> as ReportFields);
}

const NEUTRAL = [0.1, 0.1, 0.7, 0.1];
const byArousal = (values: readonly number[]) =>
  reportOf(values.map((x) => ({ probabilities: NEUTRAL, dimensions: [x, 0.5] })));

describe("the strongest moments", () => {
  test("are in order of time, neighbours are one, and at most half are strong", () => {
    const report = byArousal([0.1, 0.7, 0.9, 0.2, 0.3, 0.8, 0.1, 0.1]);
    expect(strongestMoments(report)).toEqual([
      { first: 1, last: 2, peak: 2 },
      { first: 4, last: 5, peak: 5 },
    ]);
    expect(strongestMoments(byArousal([0.9]))).toEqual([]);
    expect(strongestMoments(byArousal([]))).toEqual([]);
  });

  test("are at most five, and the others are weaker", () => {
    const random = new Random(1);
    const values = Array.from({ length: 200 }, () => random.next());
    const moments = strongestMoments(byArousal(values));
    const chosen = moments.flatMap(({ first, last }) => values.slice(first, last + 1));
    expect(chosen.length).toBe(5);
    expect(new Set(chosen)).toEqual(new Set(values.toSorted((a, b) => a - b).slice(-5)));
  });

  test("without arousal are those of an emotion other than neutral", () => {
    const rows = [
      NEUTRAL,
      [0.6, 0.2, 0.1, 0.1],
      NEUTRAL,
      [0, 0, 0.1, 0.9],
      NEUTRAL,
      NEUTRAL,
    ];
    const estimates = rows.map((probabilities) => ({ probabilities, dimensions: [] }));
    const report = reportOf(estimates, []);
    expect(strongestMoments(report).map(({ peak }) => peak)).toEqual([1, 3]);
  });

  test("are not of short windows, whose estimates vary more", () => {
    const { estimates, ...rest } = byArousal([0.1, 0.2, 0.9, 0.3]);
    const shortened = estimates.map((each, i) => {
      const { start } = each.segment;
      return i === 2 ? { ...each, segment: { start, end: start + S } } : each;
    });
    const report = new Report({ ...rest, estimates: shortened } as ReportFields);
    expect(strongestMoments(report).map(({ peak }) => peak)).toEqual([3]);
  });
});

describe("the path of arousal and valence", () => {
  test("has all windows in order, and the mean of the whole", () => {
    const random = new Random(2);
    const estimates = Array.from({ length: 100 }, () => ({
      probabilities: NEUTRAL,
      dimensions: [random.next(), random.next()],
    }));
    const report = reportOf(estimates);
    const points = pathOf(report);
    expect(points.length).toBeLessThanOrEqual(16);
    expect(points[0].first).toBe(0);
    expect(points.at(-1)?.end).toBe(100);
    for (const [i, { first }] of points.slice(1).entries())
      expect(first).toBe(points[i].end);
    const weight = (point: (typeof points)[0]) => (point.end - point.first) / 100;
    const mean = points.reduce((sum, each) => sum + each.valence * weight(each), 0);
    expect(mean).toBeCloseTo(report.dimensions?.valence ?? -1, 12);
  });

  test("is empty without valence, and without speech", () => {
    const estimates = [{ probabilities: NEUTRAL, dimensions: [0.4] }];
    expect(pathOf(reportOf(estimates, ["arousal"]))).toEqual([]);
    expect(pathOf(reportOf([]))).toEqual([]);
  });
});

test("heights are of loudness within 45 dB of the loud parts", () => {
  expect(heightsOf(null)).toBeNull();
  expect(heightsOf(Float32Array.of(-100, -100))).toEqual(Float32Array.of(0, 0));
  const loud = Array.from({ length: 100 }, () => -20);
  const heights = heightsOf(Float32Array.of(...loud, -42.5, -65, -100));
  expect([...(heights ?? [])].slice(-4)).toEqual([1, 0.5, 0, 0]);
});
