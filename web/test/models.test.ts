import { readdirSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { golden, note } from "./goldens";
import { ASSETS, openModel } from "./graphs";

interface Row {
  readonly probabilities: readonly number[];
  readonly dimensions: readonly number[];
}

const { windows, found } = golden<{
  windows: readonly [start: number, n: number, gain: number][];
  found: Readonly<Record<string, readonly Row[]>>;
}>("models");
/** How far the two runtimes may be apart, as in e2e/harness.mjs. */
const APART = { probabilities: 0.02, dimensions: 0.03 };

const bundled = readdirSync(path.join(ASSETS, "models")).sort();

test("every bundled model has its goldens", () => {
  expect(Object.keys(found), "run make-goldens.py").toEqual(bundled);
});

test.each(Object.keys(found))("%s says here what it says in Python", async (name) => {
  const classifier = await openModel(path.join(ASSETS, "models", name));
  const heard = note();
  for (const [i, [start, n, gain]] of windows.entries()) {
    const window = heard.slice(start, start + n).map((x) => gain * x);
    const row = await classifier.classify(window, false);
    for (const output of ["probabilities", "dimensions"] as const) {
      const wanted = found[name][i][output];
      expect(row[output].length).toBe(wanted.length);
      const furthest = Math.max(...wanted.map((x, j) => Math.abs(x - row[output][j])));
      expect(furthest, `${output} of window ${i}`).toBeLessThan(APART[output]);
    }
  }
  await classifier.release();
});
