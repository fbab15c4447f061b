import { beforeAll, describe, expect, test } from "vitest";
import type { Graph } from "../src/espressivo/session";
import {
  FRAME,
  Leveller,
  Segmenter,
  SPEECH,
  SpeechDetector,
} from "../src/espressivo/speech";
import { type Segment, samplesIn } from "../src/espressivo/types";
import {
  floats,
  golden,
  note,
  type Packed,
  type Span,
  segmentOf,
  withoutPause,
} from "./goldens";
import { openVad } from "./graphs";
import { cut, cutEvery, joined, noise, Random } from "./random";

interface Speech {
  readonly options: typeof SPEECH;
  readonly frames: readonly { probabilities: number[]; n: number; segments: Span[] }[];
  readonly note: Packed;
  readonly long: Packed;
}

const python = golden<Speech>("speech");

function segmentsOf(probabilities: Iterable<number>, nSamples: number): Segment[] {
  const segmenter = new Segmenter();
  return [...segmenter.push(probabilities), ...segmenter.finish(nSamples)];
}

/** Speech probabilities such as a network gives, and some that it rarely does. */
function drawn(seed: number): number[] {
  const random = new Random(seed);
  const levels = [0, 0.2, 0.34, 0.35, 0.4, 0.5, 0.6, 1];
  const runs = Array.from({ length: random.integer(0, 24) }, () => {
    const few = random.next() < 0.2 ? levels : [random.pick(levels)];
    return Array.from({ length: random.integer(1, 20) }, () => random.pick(few));
  });
  return runs.flat();
}

const seeds = [...Array(200).keys()];

describe("segments", () => {
  test("begin and end by the same numbers as in Python", () => {
    expect(SPEECH).toEqual(python.options);
  });

  test("are Python's", () => {
    expect(python.frames.some(({ segments }) => segments.length > 1)).toBe(true);
    for (const { probabilities, n, segments } of python.frames) {
      expect(segmentsOf(probabilities, n)).toEqual(segments.map(segmentOf));
    }
  });

  test("are in order, never overlap, and are long enough", () => {
    let most = 0;
    for (const seed of seeds) {
      const values = drawn(seed);
      const segments = segmentsOf(values, values.length * FRAME);
      const bounds = segments.flatMap(({ start, end }) => [start, end]);
      expect(bounds).toEqual([...bounds].sort((a, b) => a - b));
      for (const bound of bounds) {
        expect(bound).toBeGreaterThanOrEqual(0);
        expect(bound).toBeLessThanOrEqual(values.length * FRAME);
      }
      for (const segment of segments) {
        expect(samplesIn(segment)).toBeGreaterThanOrEqual(SPEECH.minSpeech * FRAME);
      }
      most = Math.max(most, segments.length);
    }
    expect(most).toBeGreaterThan(2);
  });

  test("hold all clear speech, and no long pause", () => {
    for (const seed of seeds) {
      const values = drawn(seed);
      const segments = segmentsOf(values, values.length * FRAME);
      const inside = (frame: number) =>
        segments.some(
          ({ start, end }) => start < (frame + 1) * FRAME && frame * FRAME < end,
        );
      values.forEach((_, i) => {
        const clear = values.slice(i, i + SPEECH.minSpeech);
        if (clear.length < SPEECH.minSpeech) return;
        if (clear.every((p) => p >= SPEECH.threshold)) {
          expect(clear.every((_, k) => inside(i + k))).toBe(true);
        }
        const around = values.slice(Math.max(0, i - SPEECH.minPause), i + SPEECH.minPause);
        if (around.every((p) => p < SPEECH.release)) expect(inside(i)).toBe(false);
      });
    }
  });

  test("do not depend on how frames come", () => {
    for (const seed of seeds) {
      const values = drawn(seed);
      const n = Math.max(0, values.length * FRAME - (seed % FRAME));
      const segmenter = new Segmenter();
      const one = values.flatMap((value) => segmenter.push([value]));
      expect([...one, ...segmenter.finish(n)]).toEqual(segmentsOf(values, n));
    }
  });

  test("grow from what is open, before which none is yet to come", () => {
    let grown = 0;
    for (const seed of seeds) {
      const segmenter = new Segmenter();
      let open: Segment | null = null;
      let unsettled = 0;
      for (const value of [...drawn(seed), ...Array(SPEECH.minPause + 1).fill(0)]) {
        const closed = segmenter.push([value]);
        for (const { start } of closed) expect(start).toBeGreaterThanOrEqual(unsettled);
        if (open && closed.length) {
          expect(closed[0].start).toBe(open.start);
          expect(closed[0].end).toBeGreaterThanOrEqual(open.end);
          grown += 1;
        }
        open = segmenter.open;
        expect(segmenter.unsettledFrom).toBeGreaterThanOrEqual(unsettled);
        unsettled = segmenter.unsettledFrom;
        if (open) expect(unsettled).toBe(open.start);
      }
    }
    expect(grown).toBeGreaterThan(100);
  });

  const speech = (n: number, p = 0.9): number[] => Array(n).fill(p);

  test("survive a pause that is too short, and end in one that is not", () => {
    const { minPause, minSpeech, pad } = SPEECH;
    const of = (pause: number) => [...speech(20), ...speech(pause, 0.1), ...speech(20)];
    expect(segmentsOf(of(minPause - 1), 1e6).length).toBe(1);
    expect(segmentsOf(of(minPause), 1e6)).toEqual([
      { start: 0, end: 20 * FRAME + pad },
      { start: (20 + minPause) * FRAME - pad, end: (40 + minPause) * FRAME + pad },
    ]);
    expect(segmentsOf(speech(minSpeech - 1), 1e6)).toEqual([]);
    expect(segmentsOf(speech(minSpeech), 1e6).length).toBe(1);
  });

  test("begin at the threshold, and go on down to the release", () => {
    expect(segmentsOf(speech(50, 0.49), 1e6)).toEqual([]);
    expect(segmentsOf([...speech(1, 0.5), ...speech(50, 0.35)], 1e6)).toEqual([
      { start: 0, end: 51 * FRAME + SPEECH.pad },
    ]);
    expect(segmentsOf([...speech(20), ...speech(50, 0.34)], 1e6)[0].end).toBe(
      20 * FRAME + SPEECH.pad,
    );
  });

  test("end with the recording at the latest", () => {
    expect(segmentsOf(speech(20), 10_001)).toEqual([{ start: 0, end: 10_001 }]);
  });
});

describe("frames", () => {
  const CONTEXT = 64;
  const row = (rows: Float32Array, i: number) =>
    rows.subarray(i * (CONTEXT + FRAME), (i + 1) * (CONTEXT + FRAME));
  const rms = (signal: Float32Array) =>
    Math.sqrt(signal.reduce((sum, x) => sum + x * x, 0) / signal.length);
  const N = 60;
  const signal = note().subarray(0, CONTEXT + N * FRAME);
  const levelled = (samples: Float32Array) => new Leveller().frames(samples, N);

  test.each([2 ** -7, 0.5, 1, 64])("are the same at %f times the level", (gain) => {
    expect(levelled(signal.map((x) => x * gain))).toEqual(levelled(signal));
  });

  test.each([0.03, 0.7, 3.3])("are nearly so at %f times the level", (gain) => {
    const [one, other] = [levelled(signal.map((x) => x * gain)), levelled(signal)];
    one.forEach((x, i) => {
      expect(Math.abs(x - other[i])).toBeLessThan(1e-5);
    });
  });

  test("have no offset, drift or rumble, and keep all else", () => {
    const tone = Float32Array.from(signal, (_, i) => Math.sin(i * 0.3));
    const spoilt = tone.map((x, i) => x + 0.5 + i * 1e-5 + 0.2 * Math.sin(i * 0.004));
    const [wanted, rows] = [levelled(tone), levelled(spoilt)];
    for (let i = 20; i < N; i++) {
      const found = row(rows, i);
      const apart = found.map((x, j) => x - row(wanted, i)[j]);
      expect(rms(apart)).toBeLessThan(0.1 * rms(found));
    }
  });

  test("have the gain of their frame in their context, too", () => {
    const sound = noise(CONTEXT + N * FRAME, 1);
    const rows = levelled(sound);
    for (let i = 0; i < N; i++) {
      const wanted = sound.subarray(i * FRAME, (i + 1) * FRAME + CONTEXT);
      const gain = rms(row(rows, i)) / rms(wanted);
      const apart = row(rows, i).map((x, j) => x - wanted[j] * gain);
      expect(rms(apart.subarray(0, CONTEXT))).toBeLessThan(0.4 * gain * rms(wanted));
    }
  });

  test("are never louder than 0.1, which the loudest one is", () => {
    const rows = levelled(signal);
    const levels = Array.from({ length: N }, (_, i) => rms(row(rows, i).subarray(CONTEXT)));
    expect(Math.max(...levels)).toBeLessThan(0.1 + 1e-6);
    const heard = Array.from({ length: N }, (_, i) =>
      rms(signal.subarray(CONTEXT + i * FRAME, CONTEXT + (i + 1) * FRAME)),
    );
    expect(levels[heard.indexOf(Math.max(...heard))]).toBeCloseTo(0.1, 5);
  });

  /** Return by how many dB each frame is below 0.1: a short tone, and a quiet one. */
  function afterBang(dB: number, n: number, pauses = false): number[] {
    const samples = Float32Array.from({ length: CONTEXT + n * FRAME }, (_, i) => {
      const frame = Math.floor((i - CONTEXT) / FRAME);
      const pause = pauses && frame % 8 === 0 ? 1e-3 : 1;
      return Math.sin(i * 0.3) * (frame < 1 ? 1 : pause * 10 ** (dB / 20));
    });
    const rows = new Leveller().frames(samples, n);
    return Array.from({ length: n }, (_, i) => {
      return -20 * Math.log10(rms(row(rows, i).subarray(CONTEXT)) / 0.1);
    });
  }

  test.each([-5, -10, -14])("forget a bang %i dB above by 2 dB a second", (dB) => {
    const below = afterBang(dB, 64, true);
    expect(below[9] - below[57]).toBeCloseTo(2 * 48 * (FRAME / 16_000), 1);
    expect(below[9]).toBeCloseTo(15, 0);
  });

  test("are 15 dB below where nothing changes, so that noise stays low", () => {
    for (const below of afterBang(0, 400).slice(40)) expect(below).toBeCloseTo(15, 0);
  });

  test.each([-50, -60, -80])("forget a bang %i dB above within a second", (dB) => {
    const below = afterBang(dB, 40);
    expect(below[4]).toBeGreaterThan(-dB - 0.5);
    expect(below[8]).toBeCloseTo(45, 0);
    expect(below[36]).toBeCloseTo(15, 0);
  });

  test("of digital silence stay silent", () => {
    const silence = new Float32Array(CONTEXT + 4 * FRAME);
    expect(new Leveller().frames(silence, 4).every((x) => x === 0)).toBe(true);
  });
});

describe("speech probabilities", () => {
  let vad: Graph;
  beforeAll(async () => {
    vad = await openVad();
  });

  async function detected(...pieces: Float32Array[]): Promise<Float32Array> {
    const detector = new SpeechDetector(vad);
    const found: Float32Array[] = [];
    for (const piece of pieces) found.push(await detector.push(piece));
    return joined([...found, await detector.finish()]);
  }

  function apart(one: Float32Array, other: Float32Array): number {
    expect(one.length).toBe(other.length);
    return one.reduce((most, x, i) => Math.max(most, Math.abs(x - other[i])), 0);
  }

  test("are one a frame", async () => {
    for (const n of [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME + 3]) {
      expect((await detected(note().slice(0, n))).length).toBe(Math.ceil(n / FRAME));
    }
  });

  test.each(["note", "long"] as const)("are Python's: %s", async (name) => {
    const signal = name === "note" ? note() : withoutPause();
    const found = await detected(signal);
    expect(apart(found, floats(python[name]))).toBeLessThan(1e-4);
    const wanted = segmentsOf(floats(python[name]), signal.length);
    expect(segmentsOf(found, signal.length)).toEqual(wanted);
  });

  test.each([1, 2, 3])("do not depend on how samples come (%i)", async (seed) => {
    const signal = note();
    const whole = await detected(signal);
    const places = new Random(seed).integers(30, 0, signal.length);
    expect(apart(await detected(...cut(signal, places)), whole)).toBeLessThan(1e-5);
  });

  test.each([160, 512, 4_096])("nor on blocks of %i", async (block) => {
    const signal = note();
    const pieces = cutEvery(signal, block);
    expect(apart(await detected(...pieces), await detected(signal))).toBeLessThan(1e-5);
  });

  test.each([-40, -10, 6])("nor on the level: %i dB", async (db) => {
    const louder = note().map((x) => x * 10 ** (db / 20));
    expect(apart(await detected(louder), await detected(note()))).toBeLessThan(1e-4);
  });

  const seconds = 3;
  const nothing: [string, Float32Array][] = [
    ["silence", new Float32Array(16_000 * seconds)],
    ["an offset", new Float32Array(16_000 * seconds).fill(0.5)],
    ["white noise", noise(16_000 * seconds, 1)],
    ["a tone", Float32Array.from({ length: 48_000 }, (_, i) => Math.sin(i * 0.17))],
  ];
  test.each(nothing)("of %s make no segment", async (_, signal) => {
    expect(segmentsOf(await detected(signal), signal.length)).toEqual([]);
  });
});
