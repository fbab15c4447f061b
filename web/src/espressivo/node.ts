/**
 * The package in Node 20.19 or newer: the same classes; the model runs in this process.
 *
 * ```ts
 * const analyzer = await loadModel("espressivo-tiny");
 * const report = await analyzer.analyze("note.wav");
 * ```
 */

import { openAsBlob } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type * as Comlink from "comlink";
import { Analyzer } from "./analyzer";
import { AudioError, EspressivoError, ModelError } from "./errors";
import type { Host } from "./host";
import type { LoadOptions } from "./load";
import type { ModelSource } from "./model-files";
import { ModelWorker } from "./model-worker";
import { timeoutOf, within } from "./waits";

export * from "./api";
export type { LoadOptions } from "./load";

// Paths, since bundlers of servers look for what `new URL(..., import.meta.url)` names.
const HERE = path.dirname(fileURLToPath(import.meta.url));
const MODELS = path.join(HERE, "models");
const RUNTIME = path.join(HERE, "assets", "ort-wasm-simd-threaded.wasm");
const DETECTOR = path.join(HERE, "assets", "silero_vad.onnx");

/**
 * Load a model folder (`model.json`, `model.onnx`) and verify it.
 *
 * @param source Path or URL of the folder, its files, or the name of a bundled model.
 * @throws ModelError The folder is missing, a file differs from its card, or nothing
 *   arrives for `timeout_s`.
 */
export async function loadModel(
  source: string | URL | readonly File[],
  options: LoadOptions = {},
): Promise<Analyzer> {
  const timeout_s = timeoutOf(options.timeout_s);
  options.signal?.throwIfAborted();
  const worker = new ModelWorker();
  const host = new Process(worker, timeout_s);
  const settings = {
    source: await sourceOf(source),
    runtime: await own(readFile(RUNTIME)),
    detector: Uint8Array.from(await own(readFile(DETECTOR))),
    threads: 1,
    timeout_s,
  };
  const loaded = worker.load(settings, options.onProgress ?? null);
  try {
    return new Analyzer(await host.reply(loaded, options.signal), host);
  } catch (error) {
    host.end(new EspressivoError("the model was not loaded"));
    throw error;
  }
}

/** This process, in which calls wait for nothing but the model. */
class Process implements Host {
  readonly remote: Comlink.Remote<ModelWorker>;
  private readonly gone = new AbortController();

  constructor(
    private readonly worker: ModelWorker,
    readonly timeout_s: number,
  ) {
    this.remote = promised(worker);
  }

  reply<T>(asked: Promise<T>, signal?: AbortSignal): Promise<T> {
    const limits = { timeout_s: Number.POSITIVE_INFINITY, signal, gone: this.gone.signal };
    return within(asked, limits, () => new Error("unreachable"));
  }

  end(error: Error): void {
    this.gone.abort(error);
    void this.worker.release();
  }

  async opened(name: string | URL): Promise<File | null> {
    const file = pathOf(name);
    if (file === null) return null;
    const fault = (text: string) =>
      new AudioError(`${file}: ${text}; pass the path of a recording`);
    const found = await stat(file).catch(() => null);
    if (!found) throw fault("no such file");
    if (found.isDirectory()) throw fault("is a folder");
    return fileAt(file).catch((error: Error) => {
      throw fault(`cannot be read (${error.message})`);
    });
  }
}

/** Return an object whose methods give promises, also where they throw at once. */
function promised(worker: ModelWorker): Comlink.Remote<ModelWorker> {
  const methods = worker as unknown as Record<string, (...given: unknown[]) => unknown>;
  const get =
    (_: unknown, name: string) =>
    async (...given: unknown[]) =>
      methods[name]?.(...given);
  return new Proxy({}, { get }) as Comlink.Remote<ModelWorker>;
}

async function sourceOf(source: string | URL | readonly File[]): Promise<ModelSource> {
  if (Array.isArray(source)) return source;
  if (typeof source !== "string" && !(source instanceof URL)) {
    const wanted = "the name of a bundled model, or the path or URL of a folder";
    throw new TypeError(`a model cannot be ${typeof source}; pass ${wanted}`);
  }
  const folder = pathOf(source);
  if (folder === null) return String(source);
  const bundled = await own(readdir(MODELS));
  const isName = bundled.includes(folder) && folder !== "models.json";
  const where = isName ? path.join(MODELS, folder) : folder;
  const names = await readdir(where).catch(() => {
    const known = bundled.filter((name) => name !== "models.json").join(", ");
    throw new ModelError(
      `${folder}: no such folder; pass a model folder or one of ${known}`,
    );
  });
  return Promise.all(names.map((name) => fileAt(path.join(where, name))));
}

/** Wait for a file of the package, which bundlers of servers leave behind. */
async function own<T>(read: Promise<T>): Promise<T> {
  return read.catch(() => {
    throw new EspressivoError(
      `${HERE}: holds no models and assets of the package; if a bundler has moved its code ` +
        'here, leave "espressivo" out of the bundle (external)',
    );
  });
}

/** Return the path that a text or URL names; null for what is to be fetched. */
function pathOf(source: string | URL): string | null {
  const text = String(source);
  if (text.startsWith("file:")) return fileURLToPath(text);
  // A scheme of one letter is a drive of Windows.
  return /^[a-z][a-z\d+.-]+:/i.test(text) ? null : text;
}

async function fileAt(file: string): Promise<File> {
  return new File([await openAsBlob(file)], path.basename(file));
}
