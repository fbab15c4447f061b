import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { FOLDER, golden, type Packed, unpacked } from "./goldens";
import { needsPython, python, scratch } from "./python";

/** How far numbers of one kind may be apart, since processors add in other orders. */
const TOLERANCE: Record<string, number> = {
  resample: 1e-5,
  speech: 1e-3,
  models: 0.05,
  analysis: 0.05,
};

const names = readdirSync(FOLDER).sort();

/** Where two JSON values differ by more than the tolerance, if anywhere. */
function difference(
  one: unknown,
  other: unknown,
  tolerance: number,
  at = "",
): string | null {
  if (typeof one === "number" && typeof other === "number") {
    const near = Math.abs(one - other) <= tolerance * Math.max(1, Math.abs(one));
    return near ? null : `${at}: ${one} and ${other}`;
  }
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) {
    return one === other ? null : `${at}: ${one} and ${other}`;
  }
  if (isPacked(one) && isPacked(other)) {
    return difference(unpacked(one), unpacked(other), tolerance, at);
  }
  const keys = Object.keys(one);
  if (keys.join() !== Object.keys(other).join()) return `${at}: other entries`;
  for (const key of keys) {
    const [a, b] = [one, other].map((each) => (each as Record<string, unknown>)[key]);
    const found = difference(a, b, tolerance, `${at}/${key}`);
    if (found) return found;
  }
  return null;
}

/** Samples of a WAV file, whole numbers. */
function pcm(file: string): number[] {
  const bytes = Uint8Array.from(readFileSync(file));
  return Array.from(new Int16Array(bytes.buffer, 44));
}

function isPacked(value: object): value is Packed {
  return "f32" in value || "f64" in value;
}

test("are small enough to be kept", () => {
  const bytes = names.map((name) => statSync(path.join(FOLDER, name)).size);
  expect(bytes.reduce((a, b) => a + b)).toBeLessThan(400_000);
});

test("are what make-goldens.py writes", (context) => {
  needsPython(context);
  const folder = scratch();
  python(path.join(import.meta.dirname, "make-goldens.py"), folder);
  expect(readdirSync(folder).sort()).toEqual(names);
  for (const name of names) {
    const stem = path.basename(name, ".json");
    if (stem === name) {
      const [one, other] = [FOLDER, folder].map((each) => pcm(path.join(each, name)));
      expect(other.length).toBe(one.length);
      const most = one.reduce((step, x, i) => Math.max(step, Math.abs(x - other[i])), 0);
      expect(most, name).toBeLessThanOrEqual(1);
      continue;
    }
    const [one, other] = [golden(stem), golden(stem, folder)];
    const found = difference(one, other, TOLERANCE[stem] ?? 1e-9, name);
    expect(found, "run make-goldens.py, and read what changed").toBeNull();
  }
});

describe("a difference is found", () => {
  const packed = (x: number) => ({
    f32: Buffer.from(Float32Array.of(1, x).buffer).toString("base64"),
  });
  test.each([
    [{ a: [1, 2] }, { a: [1, 2.1] }],
    [{ a: [1, 2] }, { a: [1] }],
    [{ a: 1 }, { b: 1 }],
    [{ a: null }, { a: 0 }],
    [{ a: "x" }, { a: "y" }],
    [{ a: packed(2) }, { a: packed(3) }],
  ])("between %o and %o", (one, other) => {
    expect(difference(one, other, 0.01)).toMatch(/^\/a|other entries$/);
    expect(difference(one, one, 0)).toBeNull();
    expect(difference({ a: 1 }, { a: 1.005 }, 0.01)).toBeNull();
    expect(difference(packed(2), packed(2.001), 0.01)).toBeNull();
  });
});
