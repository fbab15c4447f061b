import { expect, test } from "vitest";
import { bySize, firstModel, readIndex, titleOf } from "../src/app/model-index";
import { ModelError } from "../src/espressivo";
import { needsPython, python } from "./python";

const entry = (name: string, bytes: number, isDefault = false) => ({
  name,
  version: "1.0.0",
  bytes,
  default: isDefault,
  files: { "model.json": { sha256: "0".repeat(64), bytes } },
});
const text = (...models: unknown[]) => JSON.stringify({ models });
const BASE = entry("espressivo-base", 14_000_000, true);
const TINY = entry("espressivo-tiny", 5_000_000);
const both = readIndex(text(BASE, TINY));

test("the index is read, also when it says more", () => {
  const read = readIndex(JSON.stringify({ models: [{ ...BASE, more: 1 }, TINY], more: 1 }));
  expect(read).toEqual(both);
  expect(read[0]).toEqual({
    name: "espressivo-base",
    version: "1.0.0",
    bytes: 14_000_000,
    isDefault: true,
  });
});

test("as Python writes it, it is read", (context) => {
  needsPython(context);
  const program =
    "from espressivo.model.index import *; from espressivo.model.find import *; " +
    "print(to_json(index_models(map(find_model, bundled_models()))))";
  const written = python("-c", program);
  const read = readIndex(written);
  const { models } = JSON.parse(written);
  expect(read.map(({ name, version, bytes }) => ({ name, version, bytes }))).toEqual(
    models.map(({ name, version, bytes }: (typeof read)[0]) => ({ name, version, bytes })),
  );
  expect(read.filter(({ isDefault }) => isDefault).length).toBe(1);
});

test.each([
  ["", "is no index"],
  ["<!doctype html>", "is no index"],
  ["null", "is no index"],
  ["{}", "is no index"],
  ['{"models": {}}', "is no index"],
  ['{"models": [null]}', "is no index"],
  [text(), "lists no model"],
  [text({ ...TINY, name: "../elsewhere" }), "is no index"],
  [text({ ...TINY, name: "" }), "is no index"],
  [text({ ...TINY, name: "a." }), "is no index"],
  [text({ ...TINY, name: 1e99 }), "is no index"],
  [text({ ...TINY, version: 1 }), "is no index"],
  [text({ ...TINY, bytes: "5 MB" }), "is no index"],
  [text({ ...TINY, bytes: 0 }), "is no index"],
])("what is no index is refused: %o", (content, said) => {
  expect(() => readIndex(content)).toThrow(ModelError);
  expect(() => readIndex(content)).toThrow(`models/models.json: ${said}`);
});

test("one begins with the model chosen before, or else the default", () => {
  expect(firstModel(both, null, false).name).toBe("espressivo-base");
  expect(firstModel(both, "espressivo-tiny", false).name).toBe("espressivo-tiny");
  expect(firstModel(both, "gone", false).name).toBe("espressivo-base");
  expect(firstModel(readIndex(text(TINY)), null, false).name).toBe("espressivo-tiny");
});

test("models are listed by size, with what ours are for", () => {
  const nano = entry("espressivo-nano", 1_000_000);
  const listed = bySize(readIndex(text(BASE, nano, entry("mine", 2_000_000), TINY)));
  expect(listed.map(titleOf)).toEqual([
    "fast: espressivo-nano 1.0.0, 1.0 MB",
    "mine 1.0.0, 2.0 MB",
    "balanced: espressivo-tiny 1.0.0, 5.0 MB",
    "accurate: espressivo-base 1.0.0, 14.0 MB",
  ]);
});

test("who saves data begins with the smallest, unless another was chosen", () => {
  expect(firstModel(both, null, true).name).toBe("espressivo-tiny");
  expect(firstModel(both, "espressivo-base", true).name).toBe("espressivo-base");
});
