import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type AdaptationCard, nColumns } from "../src/espressivo/card";
import { Classifier } from "../src/espressivo/classifier";
import { ModelError } from "../src/espressivo/errors";
import { type Graph, openGraph } from "../src/espressivo/session";
import { sha256Of } from "../src/espressivo/sha256";
import { DIMENSIONS } from "../src/espressivo/types";
import { golden, note } from "./goldens";
import { bundledCard, bytesOf, MODEL, openFile, openModel, openVad } from "./graphs";

/** A graph in base 64, and what Python says when it is asked for something. */
type Damaged<Asked extends string> = { readonly file: string } & Record<
  Asked,
  string | null
>;

const card = bundledCard();
let vad: Graph;
let classifier: Classifier;
beforeAll(async () => {
  vad = await openVad();
  classifier = await openModel();
});

test("bytes are hashed", async () => {
  const empty = await sha256Of(new Uint8Array(0));
  expect(empty).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

describe("a file is refused", () => {
  test("when one bit of it is not what the card says", async () => {
    const bytes = bytesOf(path.join(MODEL, "model.onnx"));
    bytes[1_000] ^= 1;
    const found = (await sha256Of(bytes)).slice(0, 12);
    const wanted = card.sha256;
    const open = openGraph(bytes, wanted, "m/model.onnx");
    await expect(open).rejects.toThrow(ModelError);
    await expect(open).rejects.toThrow(
      `m/model.onnx: sha256 is ${found}..., not ${wanted.slice(0, 12)}... as model.json ` +
        "says; the file was altered or cut off: get the model again",
    );
  });

  test("when it is no graph", async () => {
    const bytes = new TextEncoder().encode("not a graph");
    const open = openGraph(bytes, await sha256Of(bytes), "m/model.onnx");
    await expect(open).rejects.toThrow(ModelError);
    await expect(open).rejects.toThrow(
      /^m\/model\.onnx: onnxruntime-web cannot load it \(/,
    );
  });

  test("when it is another kind of graph", () => {
    expect(() => new Classifier(card, vad)).toThrow(
      "espressivo-tiny/model.onnx: takes input, h, c and gives speech_probs, hn, cn, not " +
        "samples and probabilities; pass a model that espressivo exported",
    );
  });

  test.each([
    ["voice", 12, "dimensions"],
    ["dimensions", 2, "voice"],
  ])("when it gives no %s, and the card says so", (missing, n, there) => {
    const outputs = ["probabilities", there];
    const graph = { inputs: ["samples"], outputs } as unknown as Graph;
    expect(() => new Classifier(card, graph)).toThrow(
      `espressivo-tiny/model.onnx: gives no \`${missing}\` [batch, ${n}], which ` +
        "model.json says it does; export the model again",
    );
    const plain = { ...card, adaptation: null, dimensions: [] };
    expect(new Classifier(plain, graph).card.name).toBe(card.name);
  });

  test("when it gives another number of dimensions than the card says", async () => {
    const other = { ...card, dimensions: DIMENSIONS };
    const graph = classifier["graph"];
    const wrong = new Classifier(other, graph).classify(note(), false);
    await expect(wrong).rejects.toThrow(
      "espressivo-tiny/model.onnx: gives 2 columns of `dimensions`, not 3; export the " +
        "model again",
    );
  });

  test("when its voice vectors are of another length than the card says", async () => {
    const known = card.adaptation as AdaptationCard;
    const other = { ...card, adaptation: { ...known, nAxes: known.nAxes + 1 } };
    const graph = classifier["graph"];
    const wrong = new Classifier(other, graph).classify(note(), true);
    await expect(wrong).rejects.toThrow(
      "espressivo-tiny/model.onnx: gives 12 columns of `voice`, not 13; export the model " +
        "again",
    );
  });

  test("when a voice is wanted of a model that cannot adapt", async () => {
    const graph = classifier["graph"];
    const plain = new Classifier({ ...card, adaptation: null }, graph);
    await expect(plain.classify(note(), true)).rejects.toThrow(
      `${card.name} ${card.version}: cannot adapt to a speaker, a setting or a recording`,
    );
  });

  test("when it gives another number of emotions than the card says", async () => {
    const other = { ...card, emotions: card.emotions.slice(0, 3) };
    const graph = classifier["graph"];
    const wrong = new Classifier(other, graph).classify(note(), false);
    await expect(wrong).rejects.toThrow(
      "espressivo-tiny/model.onnx: gives 4 probabilities, not 3; export the model again",
    );
  });
});

describe("what is no number is refused as in Python", () => {
  const models = golden<Record<string, Damaged<"plain" | "embedded">>>("damaged");
  const open = ({ file }: { file: string }) =>
    openFile(Uint8Array.from(Buffer.from(file, "base64")), "damaged.onnx");

  async function requireAsPython(answer: Promise<unknown>, refused: string | null) {
    if (refused === null) {
      await expect(answer).resolves.toBeDefined();
      return;
    }
    await expect(answer).rejects.toThrow(ModelError);
    await expect(answer).rejects.toThrow(new ModelError(refused));
  }

  test("the cases are of both kinds", () => {
    const said = Object.values(models).flatMap(({ plain, embedded }) => [plain, embedded]);
    expect(new Set(said).size).toBe(2); // none, and one
  });

  test.each(Object.entries(models))("of a model: %s", async (_, each) => {
    const dimensions = ["arousal", "valence"] as const;
    const model = new Classifier({ ...card, dimensions }, await open(each));
    const window = new Float32Array(4).fill(0.25);
    await requireAsPython(model.classify(window, false), each.plain);
    await requireAsPython(model.classify(window, true), each.embedded);
  });
});

describe("a window", () => {
  test("gets probabilities, dimensions, and a voice vector where asked", async () => {
    const plain = await classifier.classify(note(), false);
    const whole = await classifier.classify(note(), true);
    expect(plain).toEqual({ ...whole, voice: null });
    expect(plain.dimensions.length).toBe(2);
    for (const level of plain.dimensions) expect(Math.abs(level - 0.5)).toBeLessThan(0.5);
    const { dimensions, ...silent } = plain;
    const without = new Classifier({ ...card, dimensions: [] }, classifier["graph"]);
    expect(await without.classify(note(), false)).toEqual({ ...silent, dimensions: [] });
    expect(plain.probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(whole.voice?.length).toBe(nColumns(card.adaptation as AdaptationCard));
  });

  test("is judged the same while others are", async () => {
    const signals = [0, 1, 2].map((i) => note().slice(20_000 * i, 20_000 * i + 20_000));
    const alone = [];
    for (const signal of signals) alone.push(await classifier.classify(signal, true));
    const together = signals.map((signal) => classifier.classify(signal, true));
    expect(await Promise.all(together)).toEqual(alone);
  });

  test("that fails lets the next one through", async () => {
    const wrong = classifier.classify(new Float32Array(0), false);
    const right = classifier.classify(note(), false);
    await expect(wrong).rejects.toThrow();
    expect((await right).probabilities.length).toBe(4);
  });
});
