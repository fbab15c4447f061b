import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readCard, requireAdaptation } from "../src/espressivo/card";
import { ModelError } from "../src/espressivo/errors";
import { EMOTIONS } from "../src/espressivo/types";
import { MODEL } from "./graphs";

type Details = Record<string, unknown> & { adaptation: Record<string, unknown> };

const text = readFileSync(path.join(MODEL, "model.json"), "utf-8");
const details = (): Details => JSON.parse(text);

function changed(change: (entries: Details) => void): () => unknown {
  const entries = details();
  change(entries);
  return () => readCard(JSON.stringify(entries), "m/model.json");
}

function requireRefused(read: () => unknown, said: string): void {
  expect(read).toThrow(ModelError);
  expect(read).toThrow(said);
}

test("the bundled model's card is read whole", () => {
  const card = readCard(text, "m/model.json");
  expect(card.emotions).toEqual(EMOTIONS);
  expect(card.details).toEqual(details());
  expect(card.dimensions).toEqual(Object.keys(details()["dimensions"] as object));
  expect(card.dimensions).toEqual(["arousal", "valence"]);
  expect(card.window_s).toBe(details()["window_s"]);
  expect(card.min_s).toBe(details()["min_s"]);
  expect(card.name).toBe("espressivo-tiny");
  expect(card.version).toBe(details()["version"]);
  expect(card.sha256).toBe(details()["sha256"]);
  expect(card.allowedUse).toBe(details()["allowed_use"]);
  expect(card.allowedUse.length).toBeGreaterThan(0);
  const { n_axes, distance_limit, spread_limit, ...same } = details().adaptation;
  expect(card.adaptation).toEqual({
    ...same,
    nAxes: n_axes,
    distanceLimit: distance_limit,
    spreadLimit: spread_limit,
  });
  expect(requireAdaptation(card)).toBe(card.adaptation);
});

test.each([undefined, null])("a model may not adapt: adaptation %o", (entry) => {
  const card = readCard(
    JSON.stringify({ ...details(), adaptation: entry }),
    "m/model.json",
  );
  expect(card.adaptation).toBeNull();
  expect(() => requireAdaptation(card)).toThrow(
    `${card.name} ${card.version}: cannot adapt to a speaker, a setting or a recording; ` +
      "train it with profile.fit = true, or use another model",
  );
});

test.each([undefined, null])("a model may have no threshold: certainty %o", (entry) => {
  const entries = { ...details(), certainty: entry };
  expect(readCard(JSON.stringify(entries), "m/model.json").certainty).toBeNull();
});

test("the threshold for uncertain estimates is read", () => {
  const certainty = { threshold: 0.55, accuracy: 0.8, coverage: 0.5, fitted: "on others" };
  const card = readCard(JSON.stringify({ ...details(), certainty }), "m/model.json");
  expect(card.certainty).toEqual({ threshold: 0.55, accuracy: 0.8 });
});

test("dimensions are those of the card, in its order; a model may have none", () => {
  const read = (dimensions: unknown) =>
    readCard(JSON.stringify({ ...details(), dimensions }), "m/model.json").dimensions;
  expect(read({ valence: { source: "order" }, arousal: {} })).toEqual([
    "valence",
    "arousal",
  ]);
  for (const none of [undefined, null, {}]) expect(read(none)).toEqual([]);
});

describe("a card without a field is refused", () => {
  const names = ["emotions", "sample_rate_hz", "window_s", "min_s", "name", "version"];
  test.each([...names, "sha256"])("%s", (name) => {
    requireRefused(
      changed((entries) => {
        delete entries[name];
      }),
      `m/model.json: has no '${name}'; export the model again`,
    );
  });

  test.each(Object.keys(details().adaptation))("adaptation.%s", (name) => {
    requireRefused(
      changed(({ adaptation }) => {
        delete adaptation[name];
      }),
      `m/model.json: has no '${name}'; export the model again`,
    );
  });

  test("format_version", () => {
    requireRefused(
      changed((entries) => {
        delete entries["format_version"];
      }),
      "m/model.json: format_version is undefined, and this version reads 1; " +
        "export the model again",
    );
  });
});

describe("a card with a wrong field is refused, and says which", () => {
  const spans = (min_s: number, window_s: number) =>
    `min_s is ${min_s} and window_s ${window_s}; wanted 0 < min_s <= window_s <= 60`;
  const adaptation = (change: Record<string, unknown>) => ({
    adaptation: { ...details().adaptation, ...change },
  });
  const two = (matrix: number[][]) => [matrix, matrix];
  const diagonal = (x: number) =>
    [0, 1, 2].map((i) => [0, 1, 2].map((j) => (i === j ? x : 0)));
  const lopsided = [[1, 0.5, 0], ...diagonal(1).slice(1)];
  const cases: [Record<string, unknown>, string][] = [
    [{ emotions: "anger" }, 'emotions is "anger"'],
    [{ emotions: [] }, "emotions is []"],
    [{ emotions: ["anger", "joy"] }, 'emotions is ["anger","joy"]'],
    [{ emotions: ["anger", "anger"] }, 'emotions is ["anger","anger"]'],
    [{ emotions: [1] }, "emotions is [1]"],
    [{ sample_rate_hz: 8_000 }, "sample_rate_hz is 8000, not 16000"],
    [{ sample_rate_hz: "16000" }, 'sample_rate_hz is "16000"'],
    [{ window_s: null }, "window_s is null"],
    [{ window_s: 61 }, spans(0.5, 61)],
    [{ min_s: 0 }, spans(0, 8)],
    [{ min_s: 9 }, spans(9, 8)],
    [{ min_s: -1 }, spans(-1, 8)],
    [{ name: 1 }, "name is 1"],
    [{ version: 1 }, "version is 1"],
    [{ sha256: null }, "sha256 is null"],
    [{ adaptation: [] }, "adaptation is not an object"],
    [{ adaptation: "yes" }, "adaptation is not an object"],
    [adaptation({ means: "3" }), 'means is "3"'],
    [adaptation({ n_axes: "3" }), 'n_axes is "3"'],
    [adaptation({ n_axes: 0 }), "adaptation: means or n_axes have another shape"],
    [adaptation({ means: [] }), "adaptation: means or n_axes have another shape"],
    [adaptation({ means: [[0, 0, 0]] }), "adaptation has means of 1 emotions, not 4"],
    [
      adaptation({ speaker: two([[1]]) }),
      "adaptation: speaker has another shape than means",
    ],
    [adaptation({ setting: two(diagonal(0)) }), "adaptation: setting holds no covariances"],
    [adaptation({ setting: two(lopsided) }), "adaptation: setting holds no covariances"],
    [adaptation({ n_axes: 1.5 }), "adaptation: n_axes is 1.5"],
    [
      adaptation({ setting: two(diagonal(1e7)) }),
      "adaptation: setting holds no covariances",
    ],
    [
      adaptation({ means: [0, 0, 0, 0].map(() => [0, 0, 1e7]) }),
      "adaptation: means are no numbers, or too large",
    ],
    [
      adaptation({ odds: 0 }),
      "adaptation: odds is 0; wanted more than 0 and at most 1000000000000",
    ],
    [
      adaptation({ discount: 1.5 }),
      "adaptation: discount is 1.5; wanted more than 0 and at most 1",
    ],
    [{ dimensions: ["arousal"] }, "dimensions is not an object"],
    [{ dimensions: { arousal: {}, tension: {} } }, 'dimensions has "tension"'],
    [{ certainty: 0.5 }, "certainty is not an object"],
    [{ certainty: { threshold: 0.5 } }, "has no 'accuracy'"],
    [{ certainty: { threshold: "0.5", accuracy: 1 } }, 'threshold is "0.5"'],
    [
      { certainty: { threshold: 55, accuracy: 0.8 } },
      "certainty has threshold 55 and accuracy 0.8; wanted shares between 0 and 1",
    ],
  ];

  test.each(cases)("%o", (change, said) => {
    requireRefused(
      changed((entries) => Object.assign(entries, change)),
      `m/model.json: ${said}; export the model again`,
    );
  });

  test.each([
    [2, "update espressivo"],
    [0, "export the model again"],
    ["1", "export the model again"],
  ])("format_version %o: %s", (version, remedy) => {
    requireRefused(
      changed((entries) => Object.assign(entries, { format_version: version })),
      `m/model.json: format_version is ${JSON.stringify(version)}, and this version reads ` +
        `1; ${remedy}`,
    );
  });
});

test.each([
  [text.slice(0, 100), "is not readable JSON; get the model again"],
  ["", "is not readable JSON; get the model again"],
  ["<!doctype html>", "is a web page, not JSON; put a complete model folder there"],
  ["[]", "is not a JSON object"],
  ["null", "is not a JSON object"],
  ["1", "is not a JSON object"],
])("what is no card is refused: %o", (content, said) => {
  requireRefused(() => readCard(content, "m/model.json"), `m/model.json: ${said}`);
});
