import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import * as espressivo from "../src/espressivo";
import { mixed } from "../src/espressivo/decode";
import { revived } from "../src/espressivo/errors";
import { ROOT } from "./python";

test("the version is Python's", () => {
  const text = readFileSync(path.join(ROOT, "src/espressivo/version.py"), "utf-8");
  const version = /^__version__ = "(.+)"$/m.exec(text)?.[1];
  expect(espressivo.VERSION).toBe(version);
  const lock = readFileSync(path.join(ROOT, "web/package-lock.json"), "utf-8");
  expect(JSON.parse(lock).version).toBe(version);
});

test("emotions, in their order, and the rate are Python's", () => {
  const text = readFileSync(path.join(ROOT, "src/espressivo/types.py"), "utf-8");
  const emotions = [...text.matchAll(/^ {4}[A-Z]+ = "(.+)"$/gm)].map(([, name]) => name);
  expect(espressivo.EMOTIONS).toEqual(emotions);
  expect(text).toContain("SAMPLE_RATE = 16_000");
  expect(espressivo.SAMPLE_RATE).toBe(16_000);
});

test("the package offers this and nothing else", () => {
  expect(Object.keys(espressivo).sort()).toEqual([
    "Analyzer",
    "AudioError",
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

describe("channels", () => {
  test("are mixed to their mean, and left as they were", () => {
    const channels = [Float32Array.of(1, 0, 0.5), Float32Array.of(0, -1, 0.5)];
    expect(mixed(channels, "x.wav")).toEqual(Float32Array.of(0.5, -0.5, 0.5));
    expect(channels[0]).toEqual(Float32Array.of(1, 0, 0.5));
    const three = [1, 0, 0].map((x) => Float32Array.of(x));
    expect(mixed(three, "x.wav")[0]).toBeCloseTo(1 / 3, 6);
  });

  test("one channel stays as it is", () => {
    const one = Float32Array.of(0.1, 1.5, -0.3);
    expect(mixed([one], "x.wav")).toEqual(one);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("with %f are refused", (bad) => {
    const channels = [Float32Array.of(0, 0), Float32Array.of(0, bad)];
    expect(() => mixed(channels, "x.wav")).toThrow(espressivo.AudioError);
    expect(() => mixed(channels, "x.wav")).toThrow(
      "x.wav: holds NaN or infinite samples; repair the recording",
    );
  });

  test("none at all are refused", () => {
    expect(() => mixed([], "x.wav")).toThrow("x.wav: has no channels");
  });
});
