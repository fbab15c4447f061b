/** Files that the model's worker consists of, by their URLs. */

import runtime from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import detector from "../../../src/espressivo/assets/silero_vad.onnx?url";
import { EspressivoError } from "./errors";
import worker from "./worker?worker&url";

export interface Assets {
  /** The worker's script. */
  readonly worker: string;
  /** WebAssembly of onnxruntime-web. */
  readonly runtime: string;
  /** Graph of the voice activity detector. */
  readonly detector: string;
  /** Decoders for what the browser cannot decode; in the app they are a chunk of the worker. */
  readonly decoders: string;
}

// The build of the package fills in the last one.
const FOUND: Assets = { worker, runtime, detector, decoders: "__DECODERS__" };
const NAMES: Assets = {
  worker: "worker.js",
  runtime: "ort-wasm-simd-threaded.wasm",
  detector: "silero_vad.onnx",
  decoders: "decoders.js",
};

/** Return the URLs where the bundler put the files, or below a folder with all of lib/assets. */
export function assetsIn(folder?: string | URL): Assets {
  const base = new URL(folder ? String(folder).replace(/\/?$/, "/") : "", document.baseURI);
  const files = folder ? NAMES : FOUND;
  if (!files.worker) {
    throw new EspressivoError(
      "this bundle cannot tell where its files are, since it is no ES module; copy the " +
        "folder lib/assets of the package to your site, and pass its URL as `assets`",
    );
  }
  // Absolute, since a worker has another base URL.
  const absolute = (file: string) => new URL(file, base).href;
  return {
    worker: absolute(files.worker),
    runtime: absolute(files.runtime),
    detector: absolute(files.detector),
    decoders: absolute(files.decoders),
  };
}
