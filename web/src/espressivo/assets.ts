/** Files that the model's worker consists of, by their URLs. */

import runtime from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import detector from "../../../src/espressivo/assets/silero_vad.onnx?url";
import worker from "./worker?worker&url";

export interface Assets {
  /** The worker's script. */
  readonly worker: string;
  /** WebAssembly of onnxruntime-web. */
  readonly runtime: string;
  /** Graph of the voice activity detector. */
  readonly detector: string;
}

/** Return the URLs beside this module, or below a folder with the files of lib/assets. */
export function assetsIn(folder?: string | URL): Assets {
  if (folder === undefined) {
    // Absolute, since a worker has another base URL.
    return {
      worker: new URL(worker, import.meta.url).href,
      runtime: new URL(runtime, import.meta.url).href,
      detector: new URL(detector, import.meta.url).href,
    };
  }
  const base = new URL(String(folder).replace(/\/?$/, "/"), document.baseURI);
  return {
    worker: new URL("worker.js", base).href,
    runtime: new URL("ort-wasm-simd-threaded.wasm", base).href,
    detector: new URL("silero_vad.onnx", base).href,
  };
}
