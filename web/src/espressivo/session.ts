/** ONNX files, verified, as onnxruntime-web runs them: one call at a time. */

import type * as Ort from "onnxruntime-web";
import { ModelError } from "./errors";
import type { Backend } from "./types";

export interface Array2 {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** onnxruntime-web, configured; loaded when first asked for, once a backend. */
export async function loadRuntime(backend: Backend, threads: number): Promise<typeof Ort> {
  const ort: typeof Ort =
    backend === "webgpu"
      ? await import("onnxruntime-web/webgpu")
      : await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

// onnxruntime-web runs one session at a time, and fails when asked for two.
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

  /** Compute outputs, float32, each as one row after the other. */
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
 * Open a graph.
 *
 * @param bytes The file.
 * @param sha256 What its bytes must hash to, in hexadecimal.
 * @param name How messages call it.
 * @throws ModelError It is altered, or not for onnxruntime.
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
      logSeverityLevel: 3, // that shapes are computed elsewhere is no news
    });
    return new Graph(ort, session);
  } catch (error) {
    const first = String(error instanceof Error ? error.message : error).split("\n")[0];
    throw new ModelError(`${name}: onnxruntime-web cannot load it (${first})`);
  }
}

/**
 * Return what a graph gave.
 *
 * @param source How messages call the graph.
 * @throws ModelError It holds what is no number, so its weights must be damaged.
 */
export function finite<Row extends Float32Array>(found: Row, source: string): Row {
  if (found.every((each) => Number.isFinite(each))) return found;
  throw new ModelError(
    `${source}: gives NaN or infinite numbers; its weights are damaged: get the model again`,
  );
}

/** Hash of some bytes, in hexadecimal; browsers offer it to https and localhost alone. */
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
