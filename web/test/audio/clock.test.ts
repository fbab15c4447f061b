import { describe, expect, test } from "vitest";
import { Clock } from "../../src/espressivo/audio/clock";
import { golden } from "../goldens";

interface Case {
  readonly begin: [number | null, number | null];
  /** Stamp, length, silence, and what is skipped. */
  readonly steps: readonly [number | null, number, number, number][];
  readonly position_s: number;
}

describe("time stamps are taken as in Python", () => {
  const cases = golden<Case[]>("clocks");

  test("with holes and overlaps among them", () => {
    const steps = cases.flatMap((each) => each.steps);
    expect(steps.some(([, , silence_s]) => silence_s > 1)).toBe(true);
    expect(steps.some(([, , , skip_s]) => skip_s > 0)).toBe(true);
  });

  test.each(cases)("from $begin.0 within $begin.1 s", ({ begin, steps, position_s }) => {
    const clock = new Clock();
    clock.begin(...begin);
    for (const [stamp_s, length_s, silence_s, skip_s] of steps) {
      const placed = clock.place(stamp_s, length_s);
      expect(placed.silence_s).toBeCloseTo(silence_s, 9);
      expect(placed.skip_s).toBeCloseTo(skip_s, 9);
    }
    expect(clock.position_s).toBeCloseTo(position_s, 6);
  });
});

test("a file that follows another begins where that one ends", () => {
  const clock = new Clock();
  clock.begin(0, null);
  clock.place(0, 2);
  clock.begin(100, null);
  expect(clock.place(100, 1)).toEqual({ silence_s: 0, skip_s: 0 });
  expect(clock.place(103, 1).silence_s).toBeCloseTo(2, 9);
  expect(clock.position_s).toBeCloseTo(6, 9);
});

test("stamps that claim years make no silence", () => {
  const clock = new Clock();
  clock.begin(0, null);
  clock.place(0, 1);
  expect(clock.place(1e9, 1).silence_s).toBe(0);
  expect(clock.place(1e9 + 1, 1).silence_s).toBe(0);
  expect(clock.position_s).toBe(3);
});
