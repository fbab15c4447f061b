import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import * as espressivo from "../src/espressivo";
import { revived } from "../src/espressivo/errors";
import { ROOT } from "./python";

test("the version is Python's", () => {
  const text = readFileSync(path.join(ROOT, "src/espressivo/version.py"), "utf-8");
  const version = /^__version__ = "(.+)"$/m.exec(text)?.[1];
  expect(espressivo.VERSION).toBe(version);
  const lock = readFileSync(path.join(ROOT, "web/package-lock.json"), "utf-8");
  expect(JSON.parse(lock).version).toBe(version);
});

test("emotions and dimensions, in their order, and the rate are Python's", () => {
  const text = readFileSync(path.join(ROOT, "src/espressivo/types.py"), "utf-8");
  const names = [...text.matchAll(/^ {4}[A-Z]+ = "(.+)"$/gm)].map(([, name]) => name);
  expect([...espressivo.EMOTIONS, ...espressivo.DIMENSIONS]).toEqual(names);
  expect(text).toContain("SAMPLE_RATE = 16_000");
  expect(espressivo.SAMPLE_RATE).toBe(16_000);
});

test("the package offers this and nothing else", () => {
  expect(Object.keys(espressivo).sort()).toEqual([
    "Analyzer",
    "AudioError",
    "DIMENSIONS",
    "EMOTIONS",
    "EspressivoError",
    "ModelError",
    "Profile",
    "ProfileError",
    "Report",
    "SAMPLE_RATE",
    "SCHEMA",
    "Stream",
    "VERSION",
    "loadModel",
  ]);
});

test("the schema's name is that of the published file", () => {
  const file = path.join(ROOT, "docs/report.schema.json");
  const schema = JSON.parse(readFileSync(file, "utf-8"));
  expect(schema.properties.schema.const).toBe(espressivo.SCHEMA);
});

describe("errors", () => {
  const { AudioError, EspressivoError, ModelError, ProfileError } = espressivo;

  test.each([AudioError, EspressivoError, ModelError, ProfileError])(
    "get their class back after they came from the worker: %o",
    (Kind) => {
      const error = new Kind("a message");
      expect(error).toBeInstanceOf(EspressivoError);
      const sent = Object.assign(new Error(error.message), { name: error.name });
      const found = revived(sent);
      expect(found).toBeInstanceOf(Kind);
      expect(found).toEqual(error);
      expect(revived(error)).toBe(error);
    },
  );

  test("of other kinds stay what they are", () => {
    const cancelled = Object.assign(new Error("cancelled"), { name: "AbortError" });
    expect(revived(cancelled)).toBeInstanceOf(DOMException);
    expect(revived(cancelled)).toMatchObject({ name: "AbortError", message: "cancelled" });
    for (const error of [new RangeError("x"), "text", undefined, null]) {
      expect(revived(error)).toBe(error);
    }
  });
});
