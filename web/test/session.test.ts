import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { ProfileHeadCard } from "../src/espressivo/card";
import { Classifier, featuresOf, ProfileHead } from "../src/espressivo/classifier";
import { ModelError } from "../src/espressivo/errors";
import { type Graph, loadRuntime, openGraph, sha256Of } from "../src/espressivo/session";
import { emptyStatistics, speakerFeatures } from "../src/espressivo/speaker-statistics";
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
    const bytes = bytesOf(path.join(MODEL, "profile.onnx"));
    bytes[1_000] ^= 1;
    const found = (await sha256Of(bytes)).slice(0, 12);
    const wanted = card.profileHead?.sha256 as string;
    const ort = await loadRuntime("wasm", 1);
    const open = openGraph(ort, bytes, wanted, "m/profile.onnx", "wasm");
    await expect(open).rejects.toThrow(ModelError);
    await expect(open).rejects.toThrow(
      `m/profile.onnx: sha256 is ${found}..., not ${wanted.slice(0, 12)}... as model.json ` +
        "says; the file was altered or cut off: get the model again",
    );
  });

  test("when it is no graph", async () => {
    const bytes = new TextEncoder().encode("not a graph");
    const ort = await loadRuntime("wasm", 1);
    const open = openGraph(ort, bytes, await sha256Of(bytes), "m/model.onnx", "wasm");
    await expect(open).rejects.toThrow(ModelError);
    await expect(open).rejects.toThrow(
      /^m\/model\.onnx: onnxruntime-web cannot load it \(/,
    );
  });

  test("when it is another kind of graph", () => {
    expect(() => new Classifier(card, vad, null)).toThrow(
      "espressivo-tiny/model.onnx: takes input, h, c and gives speech_probs, hn, cn, not " +
        "samples and probabilities; pass a model that espressivo exported",
    );
    const profileHead = { sha256: "", width: 384, distanceLimit: 1 };
    expect(() => new ProfileHead(profileHead, vad)).toThrow(
      /^profile\.onnx: takes input, h/,
    );
  });

  test("when it gives another number of emotions than the card says", async () => {
    const other = { ...card, emotions: card.emotions.slice(0, 3) };
    const graph = (classifier as unknown as { graph: Graph }).graph;
    const wrong = new Classifier(other, graph, null).classify(note(), false);
    await expect(wrong).rejects.toThrow(
      "espressivo-tiny/model.onnx: gives 4 probabilities, not 3; export the model again",
    );
  });
});

describe("what is no number is refused as in Python", () => {
  const { models, heads } = golden<{
    models: Record<string, Damaged<"plain" | "embedded">>;
    heads: Record<string, Damaged<"answer" | "distance" | "trust">>;
  }>("damaged");
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
    const said = [...Object.values(models), ...Object.values(heads)].flatMap(
      ({ file, ...refused }) => Object.values(refused),
    );
    expect(new Set(said).size).toBe(3); // none, of the model, of what takes a profile
  });

  test.each(Object.entries(models))("of a model: %s", async (_, each) => {
    const model = new Classifier(card, await open(each), null);
    const window = new Float32Array(4).fill(0.25);
    await requireAsPython(model.classify(window, false), each.plain);
    await requireAsPython(model.classify(window, true), each.embedded);
  });

  test.each(Object.entries(heads))("of what takes a profile: %s", async (_, each) => {
    const head = new ProfileHead(card.profileHead as ProfileHeadCard, await open(each));
    const row = new Float32Array(4).fill(0.25);
    const speakerStatistics = { ...emptyStatistics(9), nWindows: 3 };
    await requireAsPython(
      head.predict(row, Array.from(row), speakerStatistics),
      each.answer,
    );
    await requireAsPython(
      head.distance(speakerStatistics, speakerStatistics),
      each.distance,
    );
    await requireAsPython(head.trust(speakerStatistics), each.trust);
  });
});

describe("a window", () => {
  test("gets probabilities that sum to one, and an embedding where asked", async () => {
    const plain = await classifier.classify(note(), false);
    const whole = await classifier.classify(note(), true);
    expect(plain.embedding).toBeNull();
    expect(plain.probabilities).toEqual(whole.probabilities);
    expect(plain.probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(whole.embedding?.length).toBe(card.profileHead?.width);
    const { embedding, probabilities } = whole;
    expect(featuresOf(whole)).toEqual(
      speakerFeatures(embedding as Float32Array, probabilities),
    );
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

describe("what takes a profile", () => {
  test("trusts it the more, the more it has heard, if that was varied", async () => {
    const head = classifier.profileHead as ProfileHead;
    const mean = featuresOf(await classifier.classify(note(), true));
    mean.set([0.25, 0.25, 0.25, 0.25, 0.5], mean.length - 5); // in nats: sure each time
    const speakerStatistics = { ...emptyStatistics(mean.length), mean };
    const trusts: number[] = [];
    for (const nWindows of [1, 4, 16, 64]) {
      trusts.push(await head.trust({ ...speakerStatistics, nWindows }));
    }
    expect(trusts[0]).toBe(0);
    expect([...trusts].sort((a, b) => a - b)).toEqual(trusts);
    expect(new Set(trusts).size).toBe(4);
    expect(trusts[3]).toBeGreaterThan(0.5);
    expect(trusts[3]).toBeLessThan(1);
  });

  test("finds a voice nearer to itself than to another", async () => {
    const head = classifier.profileHead as ProfileHead;
    const mean = featuresOf(await classifier.classify(note(), true));
    const mine = { ...emptyStatistics(mean.length), mean, nWindows: 20 };
    const other = { ...mine, mean: mean.map((x, i) => x + (i % 2 ? 0.5 : -0.5)) };
    const [near, far] = [await head.distance(mine, mine), await head.distance(other, mine)];
    expect(near).toBeGreaterThanOrEqual(0);
    expect(near).toBeLessThan(far);
  });

  test("leaves a window alone when the profile is empty", async () => {
    const head = classifier.profileHead as ProfileHead;
    const { embedding, probabilities } = await classifier.classify(note(), true);
    const nobody = emptyStatistics(featuresOf({ embedding, probabilities }).length);
    const found = await head.predict(embedding as Float32Array, probabilities, nobody);
    expect(found).toBe(probabilities);
  });
});
