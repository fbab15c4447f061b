/** The classifier of a verified model folder: windows -> probabilities and voice vectors. */

import { type ModelCard, nColumns, requireAdaptation } from "./card";
import { ModelError } from "./errors";
import { finite, type Graph } from "./session";

/** Output of the model for one window. */
export interface Prediction {
  readonly probabilities: readonly number[];
  /**
   * Voice vector: dimensions in which emotions differ, the probability that it is no
   * speech, and axes in which speakers differ; null unless it was requested.
   */
  readonly voice: Float32Array | null;
}

/** The classifier `model.onnx`: maps windows to probabilities. */
export class Classifier {
  /** @throws ModelError The graph is not one of ours. */
  constructor(
    readonly card: ModelCard,
    private readonly graph: Graph,
  ) {
    const path = `${card.name}/model.onnx`;
    const { inputs, outputs } = graph;
    if (inputs.join() !== "samples" || !outputs.includes("probabilities")) {
      throw new ModelError(
        `${path}: takes ${inputs.join(", ")} and gives ${outputs.join(", ")}, not samples ` +
          "and probabilities; pass a model that espressivo exported",
      );
    }
    if (card.adaptation && !outputs.includes("voice")) {
      throw new ModelError(
        `${path}: gives no \`voice\` [batch, ${nColumns(card.adaptation)}], which ` +
          "model.json says it does; export the model again",
      );
    }
  }

  /**
   * Classify one window of samples at 16 kHz.
   *
   * @param withVoice Whether the voice vector is computed, too.
   * @throws ModelError The output is not finite, or has another number of columns.
   */
  async classify(signal: Float32Array, withVoice: boolean): Promise<Prediction> {
    const { name, emotions } = this.card;
    const adaptation = withVoice ? requireAdaptation(this.card) : null;
    const columns = {
      probabilities: emotions.length,
      ...(adaptation && { voice: nColumns(adaptation) }),
    };
    const outputs = Object.entries(columns);
    const samples = { data: signal, dims: [1, signal.length] };
    const found = await this.graph.run({ samples }, Object.keys(columns));
    for (const [output, n] of outputs) {
      const { length } = finite(found[output], name);
      if (length !== n) {
        const what = output === "voice" ? "columns of `voice`" : output;
        throw new ModelError(
          `${name}/model.onnx: gives ${length} ${what}, not ${n}; export the model again`,
        );
      }
    }
    return {
      probabilities: Array.from(found["probabilities"]),
      voice: found["voice"] ?? null,
    };
  }
}
