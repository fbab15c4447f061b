/** Verified ONNX graphs in onnxruntime-web, which runs one call at a time. */

import * as ort from "onnxruntime-web/wasm";
import { ModelError } from "./errors";
import { sha256Of } from "./sha256";

export interface Array2 {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/**
 * Configure onnxruntime-web; only before the first graph does it have an effect.
 *
 * @param runtime Its WebAssembly, or the URL from which it is fetched.
 */
export function configure(runtime: string | Uint8Array, threads: number): void {
  const { wasm } = ort.env;
  if (typeof runtime === "string") wasm.wasmPaths = { wasm: runtime };
  else wasm.wasmBinary = runtime;
  wasm.numThreads = threads;
  ort.env.logLevel = "error";
}

// onnxruntime-web fails when two sessions run at the same time, so calls are chained.
let last: Promise<unknown> = Promise.resolve();

export class Graph {
  constructor(private readonly session: ort.InferenceSession) {}

  get inputs(): readonly string[] {
    return this.session.inputNames;
  }

  get outputs(): readonly string[] {
    return this.session.outputNames;
  }

  /** Compute float32 outputs, each flattened in row-major order. */
  run(
    inputs: Readonly<Record<string, Array2>>,
    outputs: readonly string[],
  ): Promise<Record<string, Float32Array<ArrayBuffer>>> {
    const turn = last.then(async () => {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, dims }]) => [
          name,
          new ort.Tensor("float32", data, dims),
        ]),
      );
      const found = await this.session.run(feeds, [...outputs]);
      const rows: Record<string, Float32Array<ArrayBuffer>> = {};
      for (const name of outputs) {
        const tensor = found[name];
        rows[name] = Float32Array.from(tensor.data as Float32Array);
        tensor.dispose();
      }
      return rows;
    });
    last = turn.catch(() => undefined);
    return turn;
  }

  /** Release its memory, after the calls before. */
  release(): Promise<void> {
    const turn = last.then(() => this.session.release());
    last = turn.catch(() => undefined);
    return turn;
  }
}

/**
 * Verify and open a graph.
 *
 * @param bytes Content of the file.
 * @param sha256 Expected SHA-256 in hexadecimal.
 * @param name Name of the file in error messages.
 * @throws ModelError The file is altered, or onnxruntime cannot load it.
 */
export async function openGraph(
  bytes: Uint8Array<ArrayBuffer>,
  sha256: string,
  name: string,
): Promise<Graph> {
  const found = await sha256Of(bytes);
  if (found !== sha256) {
    throw new ModelError(
      `${name}: sha256 is ${found.slice(0, 12)}..., not ${sha256.slice(0, 12)}... as ` +
        "model.json says; the file was altered or cut off: get the model again",
    );
  }
  try {
    const session = await ort.InferenceSession.create(bytes, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    });
    return new Graph(session);
  } catch (error) {
    const first = String(error instanceof Error ? error.message : error).split("\n")[0];
    throw new ModelError(`${name}: onnxruntime-web cannot load it (${first})`);
  }
}

/**
 * Check that all values of an output are finite, and return it.
 *
 * @param source Name of the graph in error messages.
 * @throws ModelError A value is NaN or infinite, as damaged weights give.
 */
export function finite<Row extends Float32Array>(found: Row, source: string): Row {
  if (found.every((each) => Number.isFinite(each))) return found;
  throw new ModelError(
    `${source}: gives NaN or infinite numbers; its weights are damaged: get the model again`,
  );
}
