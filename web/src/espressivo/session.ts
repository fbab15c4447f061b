/** Verified ONNX graphs in onnxruntime-web, which runs one call at a time. */

import type * as Ort from "onnxruntime-web";
import { ModelError } from "./errors";
import type { Backend } from "./types";

export interface Array2 {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Load and configure onnxruntime-web at first use, once per backend. */
export async function loadRuntime(backend: Backend, threads: number): Promise<typeof Ort> {
  const ort: typeof Ort =
    backend === "webgpu"
      ? await import("onnxruntime-web/webgpu")
      : await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

// onnxruntime-web fails when two sessions run at the same time, so calls are chained.
let last: Promise<unknown> = Promise.resolve();

export class Graph {
  constructor(
    private readonly ort: typeof Ort,
    private readonly session: Ort.InferenceSession,
  ) {}

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
          new this.ort.Tensor("float32", data, dims),
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

  release(): Promise<void> {
    return this.session.release();
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
  ort: typeof Ort,
  bytes: Uint8Array<ArrayBuffer>,
  sha256: string,
  name: string,
  backend: Backend,
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
      executionProviders: [backend],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // hides warnings that shape operators run on another provider
    });
    return new Graph(ort, session);
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

/** Return the SHA-256 in hexadecimal; browsers offer it on https and localhost only. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) {
    throw new ModelError(
      "this page cannot verify a model: browsers hash only for https and localhost; " +
        "open it at one of these",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
