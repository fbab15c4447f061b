/** Models in a worker of the page. */

import * as Comlink from "comlink";
import { Analyzer } from "./analyzer";
import { assetsIn } from "./assets";
import { EspressivoError, revived } from "./errors";
import type { ModelSource } from "./model-files";
import { timeoutOf } from "./waits";
import { WatchedWorker } from "./watched-worker";

export interface LoadOptions {
  /** Threads of WebAssembly; more than 1 requires a cross-origin isolated page. */
  threads?: number;
  /**
   * URL of a folder of this site with the files of `lib/assets`: the worker, the runtime and
   * the voice activity detector. By default they are found where the bundler put them.
   */
  assets?: string | URL;
  /**
   * Seconds without progress (default 20) after which a wait ends with an error: for a
   * download, for the browser's decoder. A worker that shows no sign of life is given
   * three times as long, and the start of the runtime ten times.
   */
  timeout_s?: number;
  /** Signal that cancels the loading; the promise is then rejected with its reason. */
  signal?: AbortSignal;
  /** Callback, called with the bytes of the model's files that have arrived so far. */
  onProgress?: (received_bytes: number) => void;
}

/**
 * Load a model folder (`model.json`, `model.onnx`) into a worker and verify it.
 *
 * @param source URL of the folder, or its files as the user selected them. In Node: path or
 *   URL of the folder, or the name of a bundled model.
 * @throws ModelError The folder is missing, a file differs from its card, or nothing
 *   arrives for `timeout_s`.
 */
export async function loadModel(
  source: string | URL | readonly File[],
  options: LoadOptions = {},
): Promise<Analyzer> {
  const threads = globalThis.crossOriginIsolated
    ? (options.threads ?? defaultThreads())
    : 1;
  const timeout_s = timeoutOf(options.timeout_s);
  options.signal?.throwIfAborted();
  const from: ModelSource = isFiles(source)
    ? source
    : new URL(source, document.baseURI).href;
  const { worker: script, runtime, detector, decoders } = assetsIn(options.assets);
  const worker = new WatchedWorker(`${script}#${decoders}`, timeout_s);
  try {
    const settings = { source: from, runtime, detector, threads, timeout_s };
    const tell = options.onProgress ? Comlink.proxy(options.onProgress) : null;
    const card = await worker.reply(worker.remote.load(settings, tell), options.signal);
    return new Analyzer(card, worker);
  } catch (error) {
    worker.end(new EspressivoError("the model was not loaded"));
    throw revived(error);
  }
}

function isFiles(source: string | URL | readonly File[]): source is readonly File[] {
  return Array.isArray(source);
}

function defaultThreads(): number {
  return Math.max(1, Math.min(4, Math.floor(navigator.hardwareConcurrency / 2)));
}
