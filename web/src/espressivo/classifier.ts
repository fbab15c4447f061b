/** The classifier of a verified model folder: windows -> what it says of each. */

import { type AdaptationCard, type ModelCard, nColumns, requireAdaptation } from "./card";
import { ModelError } from "./errors";
import { finite, type Graph } from "./session";

/** Output of the model for one window. */
export interface Prediction {
  readonly probabilities: readonly number[];
  /** Dimensions, in the card's order; empty if the model has none. */
  readonly dimensions: readonly number[];
  /**
   * Voice vector: dimensions in which emotions differ, the probability that it is no
   * speech, and axes in which speakers differ; null unless it was requested.
   */
  readonly voice: Float32Array | null;
}

/** The classifier `model.onnx`: maps windows to probabilities and dimensions. */
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
    for (const [output, n] of columnsOf(card, card.adaptation)) {
      if (outputs.includes(output)) continue;
      throw new ModelError(
        `${path}: gives no \`${output}\` [batch, ${n}], which model.json says it does; ` +
          "export the model again",
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
    const { name } = this.card;
    const columns = columnsOf(this.card, withVoice ? requireAdaptation(this.card) : null);
    const samples = { data: signal, dims: [1, signal.length] };
    const outputs = columns.map(([output]) => output);
    const found = await this.graph.run({ samples }, outputs);
    for (const [output, n] of columns) {
      const { length } = finite(found[output], name);
      if (length !== n) {
        const what = output === "probabilities" ? output : `columns of \`${output}\``;
        throw new ModelError(
          `${name}/model.onnx: gives ${length} ${what}, not ${n}; export the model again`,
        );
      }
    }
    return {
      probabilities: Array.from(found["probabilities"]),
      dimensions: Array.from(found["dimensions"] ?? []),
      voice: found["voice"] ?? null,
    };
  }

  release(): Promise<void> {
    return this.graph.release();
  }
}

/** Return the outputs of the graph that are wanted, and the length of each. */
function columnsOf(
  { emotions, dimensions }: ModelCard,
  adaptation: AdaptationCard | null,
): [string, number][] {
  const columns: [string, number][] = [["probabilities", emotions.length]];
  if (dimensions.length) columns.push(["dimensions", dimensions.length]);
  if (adaptation) columns.push(["voice", nColumns(adaptation)]);
  return columns;
}
