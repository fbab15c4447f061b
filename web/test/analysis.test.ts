import { beforeAll, describe, expect, test } from "vitest";
import { type AnalysisOptions, AnalysisPass } from "../src/espressivo/analysis";
import { requireAdaptation } from "../src/espressivo/card";
import type { Classifier } from "../src/espressivo/classifier";
import { type AdaptationOptions, History } from "../src/espressivo/history";
import { LoudnessMeter } from "../src/espressivo/loudness";
import { Profile } from "../src/espressivo/profile";
import { warningsOf } from "../src/espressivo/quality";
import { Report } from "../src/espressivo/report";
import type { Graph } from "../src/espressivo/session";
import type { Estimate, StreamUpdate } from "../src/espressivo/types";
import { merged, type WindowStatistics } from "../src/espressivo/window-statistics";
import {
  golden,
  note,
  oneWord,
  type Packed,
  type PackedAdaptation,
  type PackedEstimate,
  type PackedStatistics,
  type Span,
  segmentOf,
  statisticsOf,
  unpacked,
  withoutPause,
} from "./goldens";
import { openModel, openVad } from "./graphs";
import { cut, cutEvery, Random } from "./random";

interface Found {
  readonly report: Record<string, unknown>;
  readonly segments: readonly Span[];
  readonly estimates: readonly PackedEstimate[];
  readonly adaptation: PackedAdaptation | null;
  readonly statistics: PackedStatistics | null;
  readonly loudness: Packed | null;
}

const python = golden<{
  profiles: { known: string; setting: string };
  found: Record<string, Found>;
}>("analysis");
/** How far probabilities of the same window may be apart, between machines. */
const APART = 0.02;

let vad: Graph;
let classifier: Classifier;
let zoe: Profile;
let hall: Profile;
beforeAll(async () => {
  zoe = await Profile.parse(python.profiles.known);
  hall = await Profile.parse(python.profiles.setting);
  vad = await openVad();
  classifier = await openModel();
});

async function listened(
  pieces: readonly Float32Array[],
  options: AnalysisOptions = {},
): Promise<{ report: Report; heard: StreamUpdate[] }> {
  const analysis = new AnalysisPass(classifier, vad, options);
  const heard: StreamUpdate[] = [];
  for (const piece of pieces) heard.push(await analysis.push(piece));
  const found = await analysis.finish();
  const report = new Report({
    ...found,
    recording: "note",
    track: null,
    channels: "mono",
    gaps: [],
    warnings: warningsOf(found.quality),
  });
  return { report, heard };
}

function adapting(options: Partial<AdaptationOptions>): AnalysisOptions {
  const none = { profile: null, setting: null, recording: false };
  return {
    history: new History(requireAdaptation(classifier.card), { ...none, ...options }),
  };
}

function unknown(): AnalysisOptions {
  return adapting({ profile: Profile.create("Zoë", classifier.card) });
}

/** The names and kinds of all fields, in order. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (value === null || typeof value !== "object")
    return value === null ? null : typeof value;
  return Object.entries(value).map(([name, each]) => [name, shape(each)]);
}

function requireClose(found: readonly Estimate[], wanted: readonly PackedEstimate[]): void {
  expect(found.map(({ segment }) => segment)).toEqual(
    wanted.map(({ segment }) => segmentOf(segment)),
  );
  for (const [i, { emotion, probabilities, dimensions }] of found.entries()) {
    const values = Object.values(probabilities);
    expect(Object.keys(probabilities)).toEqual(classifier.card.emotions);
    expect(values.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(probabilities[emotion]).toBe(Math.max(...values));
    requireNear(values, wanted[i].probabilities, APART);
    requireNear(Object.values(dimensions ?? {}), wanted[i].dimensions, APART);
  }
}

function requireNear(
  found: ArrayLike<number>,
  wanted: readonly number[],
  apart: number,
): void {
  expect(found.length).toBe(wanted.length);
  wanted.forEach((x, i) => {
    expect(Math.abs(x - found[i])).toBeLessThan(apart);
  });
}

describe("a recording", () => {
  const inputs: [string, () => Float32Array, () => AnalysisOptions][] = [
    ["note", note, () => ({})],
    ["long", withoutPause, () => ({})],
    ["word", oneWord, () => ({})],
    ["silence", () => new Float32Array(16_000), () => ({})],
    ["short", () => note().slice(9_000, 13_000), () => ({})],
    ["unknown", note, unknown],
    ["known", withoutPause, () => adapting({ profile: zoe })],
    ["setting", note, () => adapting({ setting: hall })],
    ["together", withoutPause, () => adapting({ recording: true })],
    ["all", withoutPause, () => adapting({ profile: zoe, setting: hall, recording: true })],
    ["nothing", () => new Float32Array(16_000), () => adapting({ recording: true })],
  ];

  test("is among those that Python heard", () => {
    expect(inputs.map(([name]) => name)).toEqual(Object.keys(python.found));
  });

  test.each(inputs)("is heard as in Python: %s", async (name, signal, options) => {
    const wanted = python.found[name];
    const { report } = await listened([signal()], options());
    expect(report.segments).toEqual(wanted.segments.map(segmentOf));
    requireClose(report.estimates, wanted.estimates);
    expect(report.emotion).toBe(wanted.report["emotion"]);
    expect(shape(report.toDict())).toEqual(shape(wanted.report));
    const { loudness } = wanted; // null where another name has the same sound
    if (loudness) requireNear(report.loudness ?? [], unpacked(loudness), 0.01);
    const [use, mine] = [report.adaptation, report.statistics];
    if (!use || !mine || !wanted.adaptation || !wanted.statistics) {
      expect([use, mine, wanted.adaptation]).toEqual([null, null, null]);
      return;
    }
    const { without, ...numbers } = wanted.adaptation;
    requireClose(use.without, without);
    for (const [field, value] of Object.entries(numbers)) {
      const found = use[field as keyof typeof numbers];
      if (typeof value !== "number") expect(found, field).toEqual(value);
      // An int8 model's voice vectors differ a little between machines.
      else expect(Math.abs((found as number) - value), field).toBeLessThan(0.1);
    }
    const statistics = statisticsOf(wanted.statistics);
    const counts = (of: WindowStatistics) => [of.nWindows, of.nRecordings, of.nSamples];
    expect(counts(mine)).toEqual(counts(statistics));
    requireNear(mine.mean, statistics.mean, 0.1);
  });

  test("of nothing is empty", async () => {
    for (const pieces of [[], [new Float32Array(0)], [new Float32Array(1)]]) {
      const { report } = await listened(pieces);
      expect([report.segments, report.estimates, report.emotion]).toEqual([[], [], null]);
    }
  });
});

describe("how samples come changes nothing", () => {
  const signals = { note, withoutPause, oneWord };
  const cuts: [string, (signal: Float32Array) => Float32Array[]][] = [
    ["blocks of 1,000", (signal) => cutEvery(signal, 1_000)],
    ["blocks of 5 s", (signal) => cutEvery(signal, 80_000)],
    ["any cuts", (signal) => cut(signal, new Random(1).integers(20, 0, signal.length))],
  ];
  const cases = Object.entries(signals).flatMap(([name, signal]) =>
    cuts.map(([how, cutting]) => ({ name, how, signal, cutting })),
  );

  test.each(cases)("$name, $how", async ({ signal, cutting }) => {
    const whole = await listened([signal()], unknown());
    const { report, heard } = await listened(cutting(signal()), unknown());
    expect(whole.report.estimates.length).toBeGreaterThan(0);
    expect({ ...report }).toEqual({ ...whole.report });
    const told = heard.flatMap(({ estimates }) => estimates);
    expect(told).toEqual(report.estimates.slice(0, told.length));
    expect(heard.at(-1)?.duration_s).toBe(report.duration_s);
  });

  test("memory does not grow with what was heard", async () => {
    const analysis = new AnalysisPass(classifier, vad);
    const held: number[] = [];
    const silence = new Float32Array(160_000);
    const [block, most] = [8_000, 16_000 * (2 * 8 + 0.5)];
    for (const signal of [withoutPause(), withoutPause(), silence, oneWord()]) {
      for (const piece of cutEvery(signal, block)) {
        await analysis.push(piece);
        held.push(analysis["windower"].nHeld);
      }
    }
    expect(Math.max(...held)).toBeGreaterThan(16_000 * 8);
    expect(Math.max(...held)).toBeLessThan(most + block);
    expect(Math.min(...held.slice(-20))).toBeLessThan(16_000);
  });

  test("nor with its loudness, which is kept of a day at most", () => {
    const meter = new LoudnessMeter(3);
    meter.push(new Float32Array(4_801).fill(0.1));
    const levels = Array.from(meter.measure() ?? []);
    expect(levels.map((level) => level.toFixed(3))).toEqual(Array(4).fill("-20.000"));
    for (let i = 0; i < 5; i++) meter.push(new Float32Array(1_600));
    expect(meter.measure()).toBeNull();
    expect(meter["levels"].length).toBe(4);
  });

  test("windows are told as soon as they are certain", async () => {
    const { heard, report } = await listened(cutEvery(withoutPause(), 16_000));
    const told = heard.flatMap(({ estimates }) => estimates);
    expect(told.length).toBe(report.estimates.length - 2);
    expect(heard.every(({ provisional }) => provisional === null)).toBe(true);
    expect(heard.slice(1).every(({ speaking }) => speaking)).toBe(true);
  });
});

describe("what is being said now", () => {
  const pieces = () => cutEvery(note(), 4_000);

  test("is told while someone speaks, and changes nothing in the report", async () => {
    const plain = await listened(pieces(), unknown());
    const { report, heard } = await listened(pieces(), { ...unknown(), hop_s: 0.5 });
    expect({ ...report }).toEqual({ ...plain.report });
    const now = heard.flatMap(({ provisional }) => provisional ?? []);
    expect(now.length).toBeGreaterThan(2);
    for (const { speaking, provisional, duration_s } of heard) {
      if (!provisional) continue;
      expect(speaking).toBe(true);
      const { start, end } = provisional.segment;
      expect(end - start).toBeGreaterThanOrEqual(16_000);
      expect(end).toBeLessThanOrEqual(16_000 * duration_s);
      const within = report.segments.filter(
        (each) => each.start <= start && end <= each.end,
      );
      expect(within.length).toBe(1);
      const { emotion, probabilities } = provisional;
      expect(probabilities[emotion]).toBe(Math.max(...Object.values(probabilities)));
    }
  });

  test("is told no more often than asked", async () => {
    const { heard } = await listened(pieces(), { hop_s: 1 });
    const at = heard
      .filter(({ provisional }) => provisional)
      .map((each) => each.duration_s);
    const steps = at.slice(1).map((second, i) => second - at[i]);
    expect(steps.length).toBeGreaterThan(0);
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(1);
  });
});

describe("a profile", () => {
  test("of which nothing is known changes no estimate", async () => {
    const plain = await listened([note()]);
    const { report } = await listened([note()], unknown());
    expect(report.estimates).toEqual(plain.report.estimates);
    expect(report.adaptation?.without).toEqual(report.estimates);
    expect([report.change, report.adaptation?.weight, report.fits]).toEqual([0, 0, null]);
  });

  test("judges by what it knew before, not by what it hears", async () => {
    const before = structuredClone(zoe.statistics);
    const { report } = await listened([note()], adapting({ profile: zoe }));
    expect(report.change).toBeGreaterThan(0);
    expect(report.adaptation).toMatchObject({
      nWindows: before.nWindows,
      nRecordings: 1,
      speaker: "Zoë",
    });
    expect(report.adaptation?.weight).toBeGreaterThan(0);
    expect(zoe.statistics).toEqual(before);
    expect(report.fits).toBe(true);
  });

  test("learns as much from two halves as from the whole", async () => {
    const [middle, signal] = [40_000, note()]; // in the pause
    const whole = await listened([signal], unknown());
    const halves = [signal.slice(0, middle), signal.slice(middle)];
    const statistics = [];
    for (const half of halves) {
      statistics.push((await listened([half], unknown())).report.statistics);
    }
    const [one, two] = statistics as WindowStatistics[];
    const both = merged(one, two);
    expect(both.nWindows).toBe(whole.report.statistics?.nWindows);
    expect(both.nRecordings).toBe(2);
    const span = Math.abs(both.nSamples - (whole.report.statistics?.nSamples ?? 0));
    expect(span).toBeLessThan(4 * 512);
  });
});

describe("a recording by itself", () => {
  const together = () => adapting({ recording: true });

  test("is told window by window without it, and judged as a whole at its end", async () => {
    const plain = await listened(cutEvery(withoutPause(), 16_000));
    const { report, heard } = await listened(cutEvery(withoutPause(), 16_000), together());
    expect(heard).toEqual(plain.heard);
    expect(report.adaptation?.without).toEqual(plain.report.estimates);
    expect(report.estimates).not.toEqual(plain.report.estimates);
    expect(report.change).toBeGreaterThan(0);
    expect(report.adaptation).toMatchObject({
      recording: true,
      nRecordings: 1,
      nWindows: report.estimates.length,
    });
  });

  test("is less sure of the voice than with a profile", async () => {
    const [alone, both] = [together(), adapting({ profile: zoe, recording: true })];
    const [one, two] = await Promise.all(
      [alone, both].map((options) => listened([withoutPause()], options)),
    );
    const deviation = ({ report }: typeof one) => report.adaptation?.deviation ?? 0;
    expect(deviation(two)).toBeLessThan(deviation(one));
    expect(deviation(one)).toBeLessThan(one.report.adaptation?.priorDeviation ?? 0);
  });
});

test("work that is no longer wanted stops before the next window", async () => {
  let left = 1;
  const stop = async () => {
    if (left-- === 0) throw new DOMException("enough", "AbortError");
  };
  const analysis = new AnalysisPass(classifier, vad, { yield: stop });
  const blocks = cutEvery(withoutPause(), 16_000);
  const told: Estimate[] = [];
  const work = async () => {
    for (const block of blocks) told.push(...(await analysis.push(block)).estimates);
    await analysis.finish();
  };
  await expect(work()).rejects.toThrow("enough");
  expect(told.length).toBe(1);
});
