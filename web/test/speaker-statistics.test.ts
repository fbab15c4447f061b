import { describe, expect, test } from "vitest";
import {
  emptyStatistics,
  merged,
  type SpeakerStatistics,
  speakerFeatures,
  withWindow,
} from "../src/espressivo/speaker-statistics";
import {
  floats,
  golden,
  type Packed,
  type PackedStatistics,
  statisticsOf,
  unpacked,
} from "./goldens";
import { Random } from "./random";

interface Drawn {
  readonly windows: readonly { embedding: Packed; probabilities: Packed; traits: Packed }[];
  readonly statistics: PackedStatistics;
}

const N_FEATURES = 7;

function drawn(random: Random): { traits: Float64Array; nSamples: number } {
  const traits = Float64Array.from({ length: N_FEATURES }, () => 10 * random.next() - 5);
  return { traits, nSamples: random.integer(8_000, 128_000) };
}

function statisticsOfAll(windows: readonly ReturnType<typeof drawn>[]): SpeakerStatistics {
  return windows.reduce(
    (speakerStatistics, { traits, nSamples }) =>
      withWindow(speakerStatistics, traits, nSamples),
    emptyStatistics(N_FEATURES),
  );
}

function requireClose(one: SpeakerStatistics, other: SpeakerStatistics): void {
  expect(one.nWindows).toBe(other.nWindows);
  expect(one.nRecordings).toBe(other.nRecordings);
  expect(one.nSamples).toBe(other.nSamples);
  one.mean.forEach((mean, i) => {
    expect(mean).toBeCloseTo(other.mean[i], 10);
  });
  one.squares.forEach((square, i) => {
    expect(square).toBeCloseTo(other.squares[i], 8);
  });
}

describe("what was heard of a voice", () => {
  const random = new Random(1);
  const windows = Array.from({ length: 30 }, () => drawn(random));
  const whole = statisticsOfAll(windows);

  test("is mean and sum of squares of its windows", () => {
    for (let k = 0; k < N_FEATURES; k++) {
      const values = windows.map(({ traits }) => traits[k]);
      const mean = values.reduce((a, b) => a + b) / values.length;
      expect(whole.mean[k]).toBeCloseTo(mean, 10);
      const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
      expect(whole.squares[k]).toBeCloseTo(squares, 8);
    }
    expect(whole.nWindows).toBe(30);
    expect(whole.nRecordings).toBe(0);
    expect(whole.nSamples).toBe(windows.reduce((sum, each) => sum + each.nSamples, 0));
  });

  test.each([...Array(10).keys()])("does not depend on the order (%i)", (seed) => {
    const places = new Random(seed);
    const shuffled = [...windows];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = places.integer(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    requireClose(statisticsOfAll(shuffled), whole);
    const [a, b] = places.integers(2, 0, 30).sort((x, y) => x - y);
    const parts = [windows.slice(0, a), windows.slice(a, b), windows.slice(b)];
    const [one, two, three] = parts.map(statisticsOfAll);
    requireClose(merged(merged(one, two), three), whole);
    requireClose(merged(three, merged(two, one)), whole);
  });

  test("is not changed by hearing nothing", () => {
    expect(merged(whole, emptyStatistics(N_FEATURES))).toEqual(whole);
    requireClose(merged(emptyStatistics(N_FEATURES), whole), whole);
    expect(merged(emptyStatistics(2), emptyStatistics(2))).toEqual(emptyStatistics(2));
  });

  test("never has squares below zero", () => {
    const same = Array.from({ length: 100 }, () => ({ ...windows[0] }));
    expect(statisticsOfAll(same).squares.every((square) => square >= 0)).toBe(true);
  });

  test("leaves what it was made of as it was", () => {
    const before = structuredClone(whole);
    withWindow(whole, windows[0].traits, 1);
    merged(whole, whole);
    expect(whole).toEqual(before);
  });
});

describe("as Python", () => {
  const { windows, statistics } = golden<Drawn>("speaker-statistics");

  test("traits are embedding, probabilities and their entropy", () => {
    expect(windows.length).toBeGreaterThan(10);
    for (const { embedding, probabilities, traits } of windows) {
      const found = speakerFeatures(floats(embedding), floats(probabilities));
      const wanted = unpacked(traits);
      expect(Array.from(found.slice(0, -1))).toEqual(wanted.slice(0, -1));
      expect(found.at(-1)).toBeCloseTo(wanted.at(-1) as number, 12);
    }
    expect(speakerFeatures([], [1, 0, 0, 0]).at(-1)).toBeCloseTo(0, 12);
    expect(speakerFeatures([], [0.5, 0.5]).at(-1)).toBeCloseTo(Math.LN2, 12);
  });

  test("windows are kept account of", () => {
    const found = windows.reduce(
      (speakerStatistics, { traits }, i) =>
        withWindow(speakerStatistics, Float64Array.from(unpacked(traits)), 1_000 * (i + 1)),
      emptyStatistics(11),
    );
    requireClose(found, statisticsOf(statistics));
  });
});
