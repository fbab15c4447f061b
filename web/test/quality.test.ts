import { describe, expect, test } from "vitest";
import { type Quality, QualityMeter, UNKNOWN, warningsOf } from "../src/espressivo/quality";
import { FRAME } from "../src/espressivo/speech";
import { floats, golden, type Packed, repeated, note as whole } from "./goldens";
import { cut, Random } from "./random";

interface Found {
  readonly quality: Quality;
  readonly warnings: readonly string[];
}

const python = golden<Record<string, Found>>("quality");
/** Speech probabilities of the note's whole frames. */
const spoken = floats(golden<{ note: Packed }>("speech").note).subarray(0, -1);
const note = () => whole().subarray(0, spoken.length * FRAME);
const clip = (x: number) => Math.min(Math.max(x, -1), 1);

/** What make-goldens.py does to the note. */
const signals: Record<string, () => Float32Array> = {
  note,
  three: () => repeated(note(), 3),
  noisy: () => {
    const hiss = noise(note().length, 1);
    return note().map((x, i) => x + 0.2 * hiss[i]);
  },
  clipped: () => note().map((x) => clip(30 * x)),
  "cut off above": () => note().map((x) => Math.min(x, 0.05)),
  faint: () => note().map((x) => Math.round(x * 32) / 32_768),
  narrow: () => lowPassed(repeated(note(), 2)),
  offset: () => note().map((x) => 0.02 * x + 0.3),
  silence: () => new Float32Array(spoken.length * FRAME),
};

/** The generator of Numerical Recipes, as in make-goldens.py. */
function noise(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(1_664_525, state) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function lowPassed(signal: Float32Array): Float32Array {
  const taps = Float64Array.from({ length: 401 }, (_, i) => {
    const x = ((i - 200) * 3) / 8;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    return ((sinc * 3) / 8) * (0.5 + 0.5 * Math.cos((Math.PI * (i - 200)) / 200));
  });
  return signal.map((_, at) => {
    let sum = 0;
    for (let k = 0; k < taps.length; k++) sum += taps[k] * (signal[at + 200 - k] ?? 0);
    return sum;
  });
}

function measured(signal: Float32Array): Quality {
  const meter = new QualityMeter();
  meter.push(signal, repeated(spoken, signal.length / FRAME / spoken.length));
  return meter.measure();
}

describe("the quality of a recording", () => {
  test("is told of each kind of fault", () => {
    expect(Object.keys(python)).toEqual(Object.keys(signals));
    const kinds = Object.values(python).flatMap(({ warnings }) =>
      warnings.map((each) => each.split(":")[0]),
    );
    expect(new Set(kinds)).toEqual(
      new Set(["noisy", "clipped", "very quiet", "narrow band"]),
    );
  });

  test.each(Object.entries(signals))("is Python's: %s", (name, signal) => {
    const wanted = python[name];
    const found = measured(signal());
    if (wanted.quality.level_db === null) {
      expect(found).toEqual(UNKNOWN);
      return;
    }
    expect(found.bandwidth_hz).toBe(wanted.quality.bandwidth_hz);
    expect(found.level_db).toBeCloseTo(wanted.quality.level_db, 1);
    expect(found.clipped).toBeCloseTo(wanted.quality.clipped as number, 3);
    expect(found.snr_db).toBeCloseTo(wanted.quality.snr_db as number, 1);
    expect(warningsOf(found)).toEqual(wanted.warnings);
  });

  test("does not depend on how samples come", () => {
    const signal = repeated(note(), 3);
    const probabilities = repeated(spoken, 3);
    const pieces = cut(signal, new Random(1).integers(40, 0, signal.length));
    const meter = new QualityMeter();
    let done = 0;
    for (const piece of pieces) {
      const frames = [done, done + piece.length].map((n) => Math.floor(n / FRAME));
      meter.push(piece, probabilities.subarray(...frames));
      done += piece.length;
    }
    expect(meter.measure()).toEqual(measured(signal));
  });

  test("of nothing is unknown, and worth no warning", () => {
    expect(new QualityMeter().measure()).toEqual(UNKNOWN);
    expect(warningsOf(UNKNOWN)).toEqual([]);
    expect(warningsOf(null)).toEqual([]);
  });
});
