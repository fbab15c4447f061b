/** The classifier (windows -> probabilities) and the profile head of a verified model folder. */

import type { ModelCard, ProfileHeadCard } from "./card";
import { ModelError } from "./errors";
import { finite, type Graph } from "./session";
import { type SpeakerStatistics, speakerFeatures } from "./speaker-statistics";

/** Output of the model for one window. */
export interface Prediction {
  readonly probabilities: readonly number[];
  /** Embedding of the window; null unless it was requested. */
  readonly embedding: Float32Array | null;
}

/** The classifier `model.onnx`: maps windows to probabilities. */
export class Classifier {
  /** @throws ModelError The graph is not one of ours. */
  constructor(
    readonly card: ModelCard,
    private readonly graph: Graph,
    readonly profileHead: ProfileHead | null,
  ) {
    requireNames(graph, `${card.name}/model.onnx`, ["samples"], ["probabilities"]);
  }

  /**
   * Classify one window of samples at 16 kHz.
   *
   * @throws ModelError The output is not finite, or has another number of columns.
   */
  async classify(signal: Float32Array, embed: boolean): Promise<Prediction> {
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

/** `profile.onnx`: adapts probabilities to the statistics of a known speaker. */
export class ProfileHead {
  /** @throws ModelError The graph is not one of ours. */
  constructor(
    readonly card: ProfileHeadCard,
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

  /** Return the probabilities of one window, adapted to the speaker. */
  async predict(
    embedding: Float32Array,
    probabilities: readonly number[],
    speakerStatistics: SpeakerStatistics,
  ): Promise<readonly number[]> {
    if (!speakerStatistics.nWindows) return probabilities;
    const plain = Float32Array.from(probabilities);
    return Array.from(await this.run("personal", embedding, plain, speakerStatistics));
  }

  /** Return the distance of a recording from a profile; neither may be empty. */
  distance(
    recording: SpeakerStatistics,
    speakerStatistics: SpeakerStatistics,
  ): Promise<number> {
    return this.ofMean("distance", recording, speakerStatistics);
  }

  /** Return the weight of a profile against the population, 0 to 1. */
  trust(speakerStatistics: SpeakerStatistics): Promise<number> {
    return this.ofMean("trust", speakerStatistics, speakerStatistics);
  }

  private async ofMean(
    output: string,
    recording: SpeakerStatistics,
    speakerStatistics: SpeakerStatistics,
  ): Promise<number> {
    const { width } = this.card;
    const mean = Float32Array.from(recording.mean);
    const found = await this.run(
      output,
      mean.slice(0, width),
      mean.slice(width, -1),
      speakerStatistics,
    );
    return found[0];
  }

  private async run(
    output: string,
    embedding: Float32Array,
    probabilities: Float32Array,
    speakerStatistics: SpeakerStatistics,
  ): Promise<Float32Array> {
    const traits = Float32Array.from(speakerStatistics.mean);
    const found = await this.graph.run(
      {
        embedding: { data: embedding, dims: [1, embedding.length] },
        probabilities: { data: probabilities, dims: [1, probabilities.length] },
        count: { data: Float32Array.of(speakerStatistics.nWindows), dims: [1, 1] },
        traits: { data: traits, dims: [1, traits.length] },
      },
      [output],
    );
    return finite(found[output], "profile.onnx");
  }
}

/** Return the feature vector of one window that speaker statistics sum up. */
export function featuresOf(prediction: Prediction): Float64Array {
  return speakerFeatures(prediction.embedding ?? [], prediction.probabilities);
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
