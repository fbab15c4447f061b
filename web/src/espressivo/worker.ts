/** The worker, which holds the model and computes, so that the page stays responsive. */

import * as Comlink from "comlink";
import { AnalysisPass, type KnownSpeaker } from "./analysis";
import { type ModelCard, readCard } from "./card";
import { Classifier, ProfileHead } from "./classifier";
import { mixed, NotDecodable, openRecording } from "./decode";
import { ModelError } from "./errors";
import type { ReportFields } from "./report";
import { Resampler } from "./resample";
import { type Graph, loadRuntime, openGraph } from "./session";
import { type Backend, SAMPLE_RATE, type StreamUpdate } from "./types";

/** A model folder: its URL, or its files as the user selected them. */
export type ModelSource = string | readonly File[];

export interface LoadSettings {
  readonly source: ModelSource;
  readonly vadUrl: string;
  readonly backend: Backend;
  readonly threads: number;
}

export interface Settings {
  readonly name: string;
  readonly known: KnownSpeaker | null;
  readonly hop_s: number;
}

/** Callback for progress: the new results, and the total duration if it is known. */
export type OnProgress = (update: StreamUpdate, total_s: number | null) => void;

// SHA-256 of the detector inside the package, which is not part of a model folder.
const VAD_SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85";

interface Pass {
  readonly analysis: AnalysisPass;
  readonly name: string;
  resampler: Resampler | null;
  rate: number;
  cancelled: boolean;
}

class ModelWorker {
  private vad: Graph | null = null;
  private classifier: Classifier | null = null;
  private readonly passes = new Map<number, Pass>();
  private nextId = 0;

  /** Load and verify a model folder. */
  async load({ source, vadUrl, backend, threads }: LoadSettings): Promise<ModelCard> {
    const folder = typeof source === "string" ? source.replace(/\/?$/, "/") : "";
    const read = (name: string) =>
      typeof source === "string" ? fetched(folder + name) : picked(source, name);
    const card = readCard(
      new TextDecoder().decode(await read("model.json")),
      `${folder}model.json`,
    );
    const [ort, vad, model, profile] = await Promise.all([
      loadRuntime(backend, threads),
      fetched(vadUrl),
      read("model.onnx"),
      card.profileHead ? read("profile.onnx") : null,
    ]);
    this.vad = await openGraph(ort, vad, VAD_SHA256, "silero_vad.onnx", "wasm");
    const graph = await openGraph(ort, model, card.sha256, `${folder}model.onnx`, backend);
    let profileHead: ProfileHead | null = null;
    if (card.profileHead && profile) {
      const { sha256 } = card.profileHead;
      const head = await openGraph(ort, profile, sha256, `${folder}profile.onnx`, "wasm");
      profileHead = new ProfileHead(card.profileHead, head);
    }
    this.classifier = new Classifier(card, graph, profileHead);
    return card;
  }

  /** Open an analysis pass; `push` and `finish`, or `cancel`, follow. */
  open(settings: Settings): number {
    if (!this.classifier || !this.vad) throw new ModelError("no model is loaded");
    const { name, known, hop_s } = settings;
    const id = this.nextId++;
    const pass: Pass = {
      name,
      resampler: null,
      rate: 0,
      cancelled: false,
      analysis: new AnalysisPass(this.classifier, this.vad, {
        known,
        hop_s,
        yield: () => turn(pass),
      }),
    };
    this.passes.set(id, pass);
    return id;
  }

  /** Process the next samples of a recording, one array per channel. */
  async push(
    id: number,
    channels: readonly Float32Array[],
    rate: number,
  ): Promise<StreamUpdate> {
    const pass = this.pass(id);
    if (rate !== pass.rate) {
      if (pass.resampler) await pass.analysis.push(pass.resampler.finish());
      pass.rate = rate;
      pass.resampler = new Resampler(rate);
    }
    await turn(pass);
    const signal = mixed(channels, pass.name);
    return pass.analysis.push(pass.resampler?.push(signal) ?? signal);
  }

  /** Process the end of the recording and return the report's content. */
  async finish(id: number, warnings: readonly string[]): Promise<ReportFields> {
    const pass = this.pass(id);
    try {
      if (pass.resampler) await pass.analysis.push(pass.resampler.finish());
      const { card } = this.classifier as Classifier;
      return {
        ...(await pass.analysis.finish()),
        recording: pass.name,
        model: { name: card.name, version: card.version, sha256: card.sha256 },
        emotions: card.emotions,
        track: null,
        channels: "mono",
        gaps: [],
        warnings,
      };
    } finally {
      this.passes.delete(id);
    }
  }

  /**
   * Analyse a file block by block in an open pass.
   *
   * @returns The report's content; null if WebCodecs cannot decode the file.
   */
  async analyzeFile(
    id: number,
    file: Blob,
    tell: OnProgress,
  ): Promise<ReportFields | null> {
    const pass = this.pass(id);
    try {
      const { blocks, total_s, warnings } = await openRecording(file, pass.name);
      for await (const block of blocks) {
        await turn(pass);
        tell(await this.push(id, [block], SAMPLE_RATE), total_s);
      }
      return await this.finish(id, warnings);
    } catch (error) {
      if (error instanceof NotDecodable) return null;
      throw error;
    }
  }

  /** Cancel a pass: its analysis stops within one window, with an AbortError. */
  cancel(id: number): void {
    const pass = this.passes.get(id);
    if (pass) pass.cancelled = true;
    this.passes.delete(id);
  }

  /** Classify one window and time it, to compare backends. */
  async probe(
    signal: Float32Array,
  ): Promise<{ probabilities: readonly number[]; ms: number }> {
    if (!this.classifier) throw new ModelError("no model is loaded");
    await this.classifier.classify(signal, false); // warm-up: the first run is slower
    const began = performance.now();
    const { probabilities } = await this.classifier.classify(signal, false);
    return { probabilities, ms: performance.now() - began };
  }

  private pass(id: number): Pass {
    const pass = this.passes.get(id);
    if (!pass) throw aborted();
    return pass;
  }
}

export type { ModelWorker };

const bell = new MessageChannel();
const waiting: (() => void)[] = [];
bell.port1.onmessage = () => waiting.shift()?.();

/** Yield to the event loop, so that messages such as a cancellation are handled. */
async function turn(pass: Pass): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    bell.port2.postMessage(null);
  });
  if (pass.cancelled) throw aborted();
}

function aborted(): DOMException {
  return new DOMException("the analysis was cancelled", "AbortError");
}

async function fetched(url: string): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw new ModelError(`${url}: cannot be fetched; is the device offline?`);
  }
  if (!response.ok) {
    throw new ModelError(
      `${url}: the server says ${response.status}; put a complete model folder there`,
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function picked(
  files: readonly File[],
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = files.find((each) => each.name === name);
  if (!file) {
    const found = files.map((each) => each.name).join(", ") || "nothing";
    throw new ModelError(
      `the folder holds no ${name} (it holds: ${found}); choose a complete model folder`,
    );
  }
  return new Uint8Array(await file.arrayBuffer());
}

Comlink.expose(new ModelWorker());
