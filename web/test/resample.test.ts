import { describe, expect, test } from "vitest";
import { Resampler } from "../src/espressivo/audio/resample";
import { AudioError } from "../src/espressivo/errors";
import { floats, golden, note, type Packed } from "./goldens";
import { cut, cutEvery, joined, noise, Random } from "./random";

const RATES = [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000];

function resampled(rate: number, ...pieces: Float32Array[]): Float32Array {
  const resampler = new Resampler(rate);
  const out = pieces.map((piece) => resampler.push(piece));
  return joined([...out, resampler.finish()]);
}

function apart(one: Float32Array, other: Float32Array): number {
  expect(one.length).toBe(other.length);
  return one.reduce((most, x, i) => Math.max(most, Math.abs(x - other[i])), 0);
}

describe("as FFmpeg", () => {
  type Case = { rate: number; n: number; seed: number; out: Packed };
  const cases = golden<Case[]>("resample");

  test("at every usual rate, also of hardly any samples", () => {
    expect(new Set(cases.map(({ rate }) => rate))).toEqual(new Set(RATES));
    for (const rate of RATES) {
      const these = cases.filter((each) => each.rate === rate);
      const lengths = these.map(({ n }) => n);
      expect(lengths).toEqual(expect.arrayContaining([1, 5, 50, 400, 901]));
      const none = these.filter(({ out }) => floats(out).length === 0);
      const most = Math.max(...none.map(({ n }) => n)); // one more, and there is some
      expect(lengths).toContain(most + 1);
    }
  });

  test.each(cases)("$n samples at $rate Hz", ({ rate, n, seed, out }) => {
    expect(apart(resampled(rate, noise(n, seed)), floats(out))).toBeLessThan(5e-6);
  });
});

describe("however it is cut", () => {
  const signal = noise(5_000, 1);

  test.each([...RATES, 16_000, 44_099])("at %i Hz", (rate) => {
    const whole = resampled(rate, signal);
    const random = new Random(rate);
    const cuts = [
      cut(signal, random.integers(40, 0, signal.length)),
      cutEvery(signal, 1),
      cutEvery(signal, 128),
      [new Float32Array(0), signal, new Float32Array(0)],
    ];
    for (const pieces of cuts) expect(resampled(rate, ...pieces)).toEqual(whole);
    expect(whole.length).toBeGreaterThan(((signal.length - 4) * 16_000) / rate);
  });
});

describe("what a tone must become", () => {
  const tone = (hz: number, rate: number, n: number) =>
    Float32Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
  const loudness = (signal: Float32Array) =>
    Math.sqrt(signal.reduce((sum, x) => sum + x * x, 0) / signal.length);

  test.each(RATES)("below both Nyquist rates it stays, at %i Hz", (rate) => {
    const out = resampled(rate, tone(1_000, rate, rate)).slice(1_000, -1_000);
    const wanted = tone(1_000, 16_000, 16_000).slice(1_000, 1_000 + out.length);
    expect(apart(out, wanted)).toBeLessThan(1e-3);
  });

  test.each([24_000, 44_100, 48_000, 96_000])("above 8 kHz it goes, at %i Hz", (rate) => {
    const out = resampled(rate, tone(10_000, rate, rate)).slice(1_000, -1_000);
    expect(loudness(out)).toBeLessThan(1e-3);
  });

  test.each(RATES)("a constant stays constant, at %i Hz", (rate) => {
    const out = resampled(rate, new Float32Array(2_000).fill(0.5));
    expect(apart(out, new Float32Array(out.length).fill(0.5))).toBeLessThan(2e-5);
  });
});

test("16 kHz stays as it is", () => {
  const signal = note();
  expect(resampled(16_000, ...cutEvery(signal, 999))).toEqual(signal);
});

test.each(RATES)("nothing gives nothing, at %i Hz", (rate) => {
  expect(resampled(rate)).toEqual(new Float32Array(0));
  expect(resampled(rate, new Float32Array(0))).toEqual(new Float32Array(0));
});

test.each([0, -16_000, 44_100.5, Number.NaN, Number.POSITIVE_INFINITY])(
  "a rate of %f Hz is refused",
  (rate) => {
    const make = () => new Resampler(rate);
    expect(make).toThrow(AudioError);
    expect(make).toThrow(`sample rate is ${rate} Hz; pass a whole number`);
  },
);
