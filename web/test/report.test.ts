import { describe, expect, test } from "vitest";
import { argmax, Report, type ReportFields, SCHEMA } from "../src/espressivo/report";
import { roundTo, roundToOne } from "../src/espressivo/rounding";
import {
  type Dimensions,
  type Distribution,
  EMOTIONS,
  estimateOf as named,
  type Segment,
} from "../src/espressivo/types";
import {
  adaptationOf,
  estimateOf,
  golden,
  type PackedAdaptation,
  type PackedEstimate,
  type Span,
  segmentOf,
} from "./goldens";
import { Random } from "./random";

interface Written {
  readonly fields: Omit<ReportFields, "segments" | "estimates" | "gaps" | "adaptation"> & {
    readonly segments: readonly Span[];
    readonly estimates: readonly PackedEstimate[];
    readonly gaps: readonly Span[];
    readonly adaptation: PackedAdaptation | null;
  };
  readonly dict: Record<string, unknown>;
  readonly csv: string;
  readonly mean: Distribution | null;
  readonly dimensions: Dimensions | null;
}

const written = golden<Written[]>("reports").map(({ fields, ...rest }) => {
  const { adaptation } = fields;
  const report = new Report({
    ...fields,
    segments: fields.segments.map(segmentOf),
    estimates: fields.estimates.map((each) => estimateOf(each, fields.dimensionNames)),
    gaps: fields.gaps.map(segmentOf),
    adaptation: adaptation && adaptationOf(adaptation, fields.dimensionNames),
    statistics: null,
    loudness: null,
  });
  return { name: fields.recording, report, ...rest };
});

describe("numbers that sum to one", () => {
  type Rounding = { rows: [number[], number[]][]; values: [number, number, number][] };
  const { rows, values } = golden<Rounding>("rounding");

  test("are rounded as in Python", () => {
    expect(rows.length).toBeGreaterThan(100);
    for (const [row, rounded] of rows) expect(roundToOne(row)).toEqual(rounded);
  });

  test("still do, exactly, and stay close", () => {
    const random = new Random(1);
    for (let i = 0; i < 2_000; i++) {
      const drawn = random.integers(random.integer(2, 8), 0, 10 ** random.integer(1, 9));
      const sum = drawn.reduce((a, b) => a + b, 1);
      const row = [...drawn, 1].map((x) => x / sum);
      const units = roundToOne(row).map((p) => p * 10_000);
      expect(units.map(Math.round).reduce((a, b) => a + b)).toBe(10_000);
      units.forEach((unit, k) => {
        expect(unit).toBeCloseTo(Math.round(unit), 6);
        expect(Math.abs(unit - 10_000 * row[k])).toBeLessThan(1);
      });
    }
  });

  test("keep their order", () => {
    const random = new Random(2);
    for (let i = 0; i < 500; i++) {
      const drawn = random.integers(4, 1, 1_000_000);
      const sum = drawn.reduce((a, b) => a + b);
      const row = drawn.map((x) => x / sum).sort((a, b) => b - a);
      const rounded = roundToOne(row);
      expect([...rounded].sort((a, b) => b - a)).toEqual(rounded);
    }
  });

  test("one number is rounded as in Python, ties included", () => {
    expect(roundTo(0.0625, 3)).toBe(0.062);
    expect(roundTo(0.1875, 3)).toBe(0.188);
    for (const [value, decimals, rounded] of values) {
      // Python knows -0.0, which no report holds.
      expect(roundTo(value, decimals) + 0, `${value} to ${decimals}`).toBe(rounded + 0);
    }
  });
});

test("the first of the largest is meant", () => {
  expect(argmax([0.2, 0.4, 0.4])).toBe(1);
  expect(argmax([1])).toBe(0);
});

describe("what Python writes of the same report", () => {
  test("covers the certain, the uncertain, and what has no threshold", () => {
    const spoken = written.filter(({ report }) => report.estimates.length > 0);
    expect(new Set(spoken.map(({ report }) => report.uncertain)).size).toBe(3);
    const windows = spoken.flatMap(({ report }) =>
      report.estimates.map((each) => report.isUncertain(each)),
    );
    expect(new Set(windows).size).toBe(3);
    const silent = written.filter(({ report }) => report.estimates.length === 0);
    expect(silent.some(({ report }) => report.certainty !== null)).toBe(true);
    for (const { report } of silent) expect(report.uncertain).toBeNull();
  });

  test("covers speech and silence, adapted and plain", () => {
    const kinds = written.map(({ report }) =>
      [report.estimates.length > 0, report.adaptation !== null].join(),
    );
    expect(new Set(kinds).size).toBe(4);
    const names = written.map(({ name }) => name).join();
    for (const odd of [",", '"', "ü", "李", "\n"]) expect(names).toContain(odd);
  });

  test.each(written)("the dictionary of $name", ({ report, dict }) => {
    const found = report.toDict();
    expect(found).toEqual(dict);
    expect(JSON.stringify(found)).toBe(JSON.stringify(dict)); // the same order, too
  });

  test("covers models with and without dimensions, and without arousal", () => {
    const spoken = written.filter(({ report }) => report.estimates.length > 0);
    const names = spoken.map(({ dimensions }) => Object.keys(dimensions ?? {}));
    expect(new Set(names.map(({ length }) => length)).size).toBe(4);
    expect(names.some((each) => each.length && !each.includes("arousal"))).toBe(true);
    expect(spoken.some(({ report }) => report.adaptation && report.dimensions)).toBe(true);
    const silent = written.filter(({ report }) => report.estimates.length === 0);
    expect(silent.some(({ report }) => report.dimensionNames.length > 0)).toBe(true);
  });

  test.each(written)("the means of $name, to the last bit", (each) => {
    expect(each.report.probabilities).toEqual(each.mean);
    expect(each.report.dimensions).toEqual(each.dimensions);
  });

  test.each(written)("the table of $name, byte for byte", ({ report, csv }) => {
    expect(report.toCsv()).toBe(csv);
  });

  test.each(written)("JSON of $name says the same", ({ report, dict }) => {
    expect(JSON.parse(report.toJson())).toEqual(dict);
    expect(report.toJson(0)).not.toContain("\n");
  });
});

describe("a report", () => {
  const speech = (start_s: number, end_s: number): Segment => ({
    start: 16_000 * start_s,
    end: 16_000 * end_s,
  });
  const window = (segment: Segment, probabilities: readonly number[]) =>
    named(segment, { emotions: EMOTIONS, dimensions: [] }, probabilities, []);
  const fields: ReportFields = {
    recording: "note.wav",
    model: { name: "m", version: "1", sha256: "0".repeat(64) },
    emotions: EMOTIONS,
    dimensionNames: [],
    certainty: null,
    duration_s: 10,
    segments: [speech(0, 3), speech(4, 5)],
    estimates: [
      window(speech(0, 3), [0.7, 0.1, 0.1, 0.1]),
      window(speech(4, 5), [0.1, 0.1, 0.1, 0.7]),
    ],
    track: null,
    channels: "mono",
    gaps: [],
    quality: null,
    warnings: [],
    adaptation: null,
    statistics: null,
    loudness: null,
  };
  const use = {
    speaker: "Zoë",
    setting: null,
    recording: false,
    nRecordings: 1,
    nWindows: 2,
    speech_s: 3,
    weight: 0.5,
    offset: 1,
    deviation: 0.5,
    priorDeviation: 1,
    distance: 1,
    distanceLimit: 2,
    several: null,
    without: fields.estimates,
  };

  test("is the mean of its windows, weighted by duration", () => {
    const report = new Report(fields);
    expect(report.probabilities?.anger).toBeCloseTo((3 * 0.7 + 0.1) / 4, 12);
    expect(report.probabilities?.sadness).toBeCloseTo((3 * 0.1 + 0.7) / 4, 12);
    expect(report.emotion).toBe("anger");
    expect(report.estimates.map(({ emotion }) => emotion)).toEqual(["anger", "sadness"]);
    expect(report.speech_s).toBe(4);
    expect(report.speechShare).toBe(0.4);
    expect(report.toDict()["schema"]).toBe(SCHEMA);
  });

  test("is uncertain below the threshold of its model, and not at it", () => {
    const uncertain = (threshold: number) => {
      const report = new Report({ ...fields, certainty: { threshold, accuracy: 0.8 } });
      return [
        report.uncertain,
        ...report.estimates.map((each) => report.isUncertain(each)),
      ];
    };
    expect(uncertain(0.5)).toEqual([false, false, false]); // the mean is at 0.55
    expect(uncertain(0.6)).toEqual([true, false, false]);
    expect(uncertain(0.7)).toEqual([true, false, false]);
    expect(uncertain(0.71)).toEqual([true, true, true]);
    const without = new Report(fields);
    expect([without.uncertain, without.isUncertain(fields.estimates[0])]).toEqual([
      null,
      null,
    ]);
    expect(
      new Report({ ...fields, certainty: { threshold: 0.6, accuracy: 0.8 } }).emotion,
    ).toBe(without.emotion);
  });

  test("does not change when a window is cut into two that say the same", () => {
    const [first, last] = fields.estimates;
    const parts = [speech(0, 1), speech(1, 3)].map((segment) => ({ ...first, segment }));
    const cut = new Report({ ...fields, estimates: [...parts, last] });
    for (const emotion of EMOTIONS) {
      const whole = new Report(fields).probabilities?.[emotion];
      expect(cut.probabilities?.[emotion]).toBeCloseTo(whole as number, 12);
    }
  });

  test("without speech has no emotion", () => {
    const silent = new Report({ ...fields, segments: [], estimates: [] });
    expect([silent.emotion, silent.probabilities, silent.speechShare]).toEqual([
      null,
      null,
      0,
    ]);
    expect(new Report({ ...fields, duration_s: 0, segments: [] }).speechShare).toBe(0);
  });

  test("is never more than all speech", () => {
    expect(new Report({ ...fields, duration_s: 3.999 }).speechShare).toBe(1);
  });

  test("says how much an adaptation moved: all, or nothing", () => {
    const sure = (k: number) => [0, 1, 2, 3].map((i) => Number(i === k));
    const all = (k: number) =>
      fields.estimates.map(({ segment }) => window(segment, sure(k)));
    const moved = { ...fields, estimates: all(0), adaptation: { ...use, without: all(3) } };
    expect(new Report(moved).change).toBe(1);
    expect(new Report(moved).toDict()["adaptation"]).toMatchObject({
      change: 1,
      emotion_without: "sadness",
    });
    expect(new Report({ ...fields, adaptation: use }).change).toBe(0);
    expect(new Report(fields).change).toBe(0);
  });

  test.each([
    [2, true],
    [2.001, false],
    [null, null],
  ])("of a voice at distance %o fits: %o", (distance, fits) => {
    expect(new Report({ ...fields, adaptation: { ...use, distance } }).fits).toBe(fits);
    expect(new Report(fields).fits).toBeNull();
  });
});
