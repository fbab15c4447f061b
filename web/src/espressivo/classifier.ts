/** A model folder, verified: graphs that take windows, and what a voice is known by. */

import type { ModelCard, PersonalCard } from "./card";
import { ModelError } from "./errors";
import { finite, type Graph } from "./graphs";
import { traitsOf, type Voice } from "./voice";

/** What the model says of one window. */
export interface Answer {
  readonly probabilities: readonly number[];
  /** Null where nobody asked for it. */
  readonly embedding: Float32Array | null;
}

/** Windows to probabilities. */
export class Classifier {
  /** @throws ModelError The graph is not one of ours. */
  constructor(
    readonly card: ModelCard,
    private readonly graph: Graph,
    readonly personal: PersonalHead | null,
  ) {
    requireNames(graph, `${card.name}/model.onnx`, ["samples"], ["probabilities"]);
  }

  /**
   * Classify one window of samples at 16 kHz.
   *
   * @throws ModelError The model gives what is no number, or too few or too many.
   */
  async classify(signal: Float32Array, embed: boolean): Promise<Answer> {
    const outputs = embed ? ["probabilities", "embedding"] : ["probabilities"];
    const samples = { data: signal, dims: [1, signal.length] };
    const found = await this.graph.run({ samples }, outputs);
    for (const name of outputs) finite(found[name], this.card.name);
    const probabilities = Array.from(found["probabilities"]);
    if (probabilities.length !== this.card.emotions.length) {
      throw new ModelError(
        `${this.card.name}/model.onnx: gives ${probabilities.length} probabilities, not ` +
          `${this.card.emotions.length}; export the model again`,
      );
    }
    return { probabilities, embedding: found["embedding"] ?? null };
  }
}

/** `profile.onnx`: the part of a model that takes what is known of a voice. */
export class PersonalHead {
  /** @throws ModelError The graph is not one of ours. */
  constructor(
    readonly card: PersonalCard,
    private readonly graph: Graph,
  ) {
    const outputs = ["personal", "distance", "trust"];
    requireNames(
      graph,
      "profile.onnx",
      ["embedding", "probabilities", "count", "traits"],
      outputs,
    );
  }

  /** Return one window's probabilities given what is known of the voice. */
  async answer(
    embedding: Float32Array,
    probabilities: readonly number[],
    voice: Voice,
  ): Promise<readonly number[]> {
    if (!voice.nWindows) return probabilities;
    const plain = Float32Array.from(probabilities);
    return Array.from(await this.run("personal", embedding, plain, voice));
  }

  /** Return how far what was heard is from a profile; neither may be empty. */
  distance(heard: Voice, voice: Voice): Promise<number> {
    return this.ofMean("distance", heard, voice);
  }

  /** Return how much a profile counts against the population, 0 to 1. */
  trust(voice: Voice): Promise<number> {
    return this.ofMean("trust", voice, voice);
  }

  private async ofMean(output: string, heard: Voice, voice: Voice): Promise<number> {
    const { width } = this.card;
    const mean = Float32Array.from(heard.mean);
    const found = await this.run(
      output,
      mean.slice(0, width),
      mean.slice(width, -1),
      voice,
    );
    return found[0];
  }

  private async run(
    output: string,
    embedding: Float32Array,
    probabilities: Float32Array,
    voice: Voice,
  ): Promise<Float32Array> {
    const traits = Float32Array.from(voice.mean);
    const found = await this.graph.run(
      {
        embedding: { data: embedding, dims: [1, embedding.length] },
        probabilities: { data: probabilities, dims: [1, probabilities.length] },
        count: { data: Float32Array.of(voice.nWindows), dims: [1, 1] },
        traits: { data: traits, dims: [1, traits.length] },
      },
      [output],
    );
    return finite(found[output], "profile.onnx");
  }
}

/** Return what a profile keeps account of, of one window. */
export function traits(answer: Answer): Float64Array {
  return traitsOf(answer.embedding ?? [], answer.probabilities);
}

function requireNames(
  graph: Graph,
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
): void {
  const same = graph.inputs.length === inputs.length;
  const has = inputs.every((each) => graph.inputs.includes(each));
  if (same && has && outputs.every((each) => graph.outputs.includes(each))) return;
  throw new ModelError(
    `${name}: takes ${graph.inputs.join(", ")} and gives ${graph.outputs.join(", ")}, not ` +
      `${inputs.join(", ")} and ${outputs.join(", ")}; pass a model that espressivo exported`,
  );
}
