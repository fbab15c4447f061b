/** The model and what computes with it: in a worker of the page, or in Node. */

import { AnalysisPass } from "./analysis";
import { joined } from "./audio/channels";
import { Converter } from "./audio/conversion";
import { openRecording } from "./audio/decode";
import { type ModelCard, readCard, requireAdaptation } from "./card";
import { Classifier } from "./classifier";
import { ModelError, NotDecodable } from "./errors";
import { type AdaptationOptions, History, warningsOf as warningsOfVoice } from "./history";
import { requireScaled } from "./inputs";
import {
  fetchedFile,
  folderOf,
  type ModelSource,
  modelFile,
  unzipped,
} from "./model-files";
import { warningsOf } from "./quality";
import type { ReportFields } from "./report";
import { configure, type Graph, openGraph } from "./session";
import { SpeechDetector } from "./speech";
import type { Segment, StreamUpdate } from "./types";
import { type Limits, within } from "./waits";

export interface LoadSettings {
  readonly source: ModelSource;
  /** WebAssembly of onnxruntime-web: its URL or its bytes. */
  readonly runtime: string | Uint8Array;
  /** The voice activity detector: its URL or its bytes. */
  readonly detector: string | Uint8Array<ArrayBuffer>;
  readonly threads: number;
  /** Seconds without progress after which a wait ends with an error. */
  readonly timeout_s: number;
}

export interface Settings {
  readonly name: string;
  readonly adaptation: AdaptationOptions | null;
  readonly hop_s: number;
}

/** Callback for progress: the new results, and the total duration if it is known. */
export type OnProgress = (update: StreamUpdate, total_s: number | null) => void;

/** Callback for the bytes of a model's files that have arrived. */
export type OnBytes = (received_bytes: number) => void;

// SHA-256 of the detector inside the package, which is not part of a model folder.
const VAD_SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85";

// Of the package the runtime (14 MB) is fetched without telling its progress.
const RUNTIME_PATIENCE = 10;

interface Pass {
  readonly analysis: AnalysisPass;
  readonly converter: Converter; // for samples that the page pushes
  readonly name: string;
  readonly gone: AbortController;
}

/** What a report says of the recording itself. */
interface Heard {
  readonly track: number | null;
  readonly channels: string;
  readonly gaps: readonly Segment[];
  readonly warnings: readonly string[];
}

export class ModelWorker {
  private vad: Graph | null = null;
  private classifier: Classifier | null = null;
  private readonly passes = new Map<number, Pass>();
  private history: History | null = null; // of the last analysis that was adapted
  private nextId = 0;
  private timeout_s = 0;

  /**
   * Load and verify a model folder.
   *
   * @param tell Callback, called with the bytes of its files that have arrived; or null.
   */
  async load(settings: LoadSettings, tell: OnBytes | null): Promise<ModelCard> {
    const { source, runtime, detector, threads } = settings;
    this.timeout_s = settings.timeout_s;
    const limits = { timeout_s: this.timeout_s };
    const folder = folderOf(source);
    let received_bytes = 0;
    const add = (n_bytes: number) => {
      received_bytes += n_bytes;
      tell?.(received_bytes);
    };
    const read = (name: string) => modelFile(source, name, limits, add);
    const card = readCard(
      new TextDecoder().decode(await read("model.json")),
      `${folder}model.json`,
    );
    const [wasm, vad, model] = await Promise.all([
      runtimeOf(runtime, limits),
      typeof detector === "string" ? fetchedFile(detector, limits) : detector,
      read("model.onnx"),
    ]);
    configure(wasm, threads);
    const open = (bytes: Uint8Array<ArrayBuffer>, sha256: string, name: string) =>
      this.started(openGraph(bytes, sha256, name));
    this.vad = await open(vad, VAD_SHA256, "silero_vad.onnx");
    const graph = await open(model, card.sha256, `${folder}model.onnx`);
    this.classifier = new Classifier(card, graph);
    return card;
  }

  /** Open an analysis pass; `push` and `finish`, or `cancel`, follow. */
  open(settings: Settings): number {
    const { vad } = this;
    if (!this.classifier || !vad) throw new ModelError("no model is loaded");
    const { name, adaptation, hop_s } = settings;
    const id = this.nextId++;
    const pass: Pass = {
      name,
      gone: new AbortController(),
      converter: new Converter(name, null, (signal) => speechIn(vad, signal)),
      analysis: new AnalysisPass(this.classifier, vad, {
        history: this.historyOf(adaptation),
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
    requireScaled(channels);
    await turn(pass);
    const signals: Float32Array[] = [];
    const piece = { stamp_s: 0, rate, channels };
    for await (const signal of pass.converter.push(piece)) signals.push(signal);
    return pass.analysis.push(joined(signals));
  }

  /**
   * Process the end of the recording and return the report's content.
   *
   * @param track Number of the file's audio track, or null for samples.
   */
  async finish(id: number, track: number | null = null): Promise<ReportFields> {
    const pass = this.pass(id);
    const { analysis, converter } = pass;
    await analysis.push(await converter.finish());
    const warnings = converter.warnings();
    return this.report(id, { track, channels: converter.channels, gaps: [], warnings });
  }

  /**
   * Analyse a file block by block in an open pass.
   *
   * @param track Number of the audio track, from 1; null for the default track.
   * @returns The report's content; null if nothing decodes it in pieces.
   */
  async analyzeFile(
    id: number,
    file: Blob,
    track: number | null,
    tell: OnProgress,
  ): Promise<ReportFields | null> {
    const { name, gone, analysis } = this.pass(id);
    const { vad } = this;
    if (!vad) throw new ModelError("no model is loaded");
    const limits = { timeout_s: this.timeout_s, signal: gone.signal };
    const findSpeech = (signal: Float32Array) => speechIn(vad, signal);
    try {
      const heard = await openRecording(file, { name, track, limits, findSpeech });
      for await (const block of heard.blocks) {
        await turn(this.pass(id));
        tell(await analysis.push(block), heard.total_s);
      }
      const { warnings, gaps } = heard;
      const channels = heard.channels();
      return await this.report(id, { track: heard.track, channels, gaps, warnings });
    } catch (error) {
      if (error instanceof NotDecodable) return null;
      throw error;
    }
  }

  /** Return a history; the last one again for the same profiles. */
  private historyOf(options: AdaptationOptions | null): History | null {
    if (!options) return null;
    // Copies of the page's profiles arrive, so that their contents are compared.
    if (JSON.stringify(options) !== JSON.stringify(this.history?.options)) {
      const { card } = this.classifier as Classifier;
      this.history = new History(requireAdaptation(card), options);
    }
    return this.history;
  }

  private async report(id: number, heard: Heard): Promise<ReportFields> {
    const pass = this.pass(id);
    try {
      const found = await pass.analysis.finish();
      return {
        ...found,
        ...heard,
        warnings: [
          ...heard.warnings,
          ...warningsOf(found.quality).map((each) => `${pass.name}: ${each}`),
          ...warningsOfVoice(found.adaptation),
        ],
        recording: pass.name,
      };
    } finally {
      this.passes.delete(id);
    }
  }

  /** Wait for the runtime, or for a graph to be compiled. */
  private started<T>(asked: Promise<T>): Promise<T> {
    const timeout_s = RUNTIME_PATIENCE * this.timeout_s;
    const late = () =>
      new ModelError(`the runtime (onnxruntime-web) has not started for ${timeout_s} s`);
    return within(asked, { timeout_s }, late);
  }

  /** Cancel a pass: its analysis stops within one window, with an AbortError. */
  cancel(id: number): void {
    const pass = this.passes.get(id);
    pass?.gone.abort(aborted());
    this.passes.delete(id);
  }

  /** Release the memory of the graphs. */
  async release(): Promise<void> {
    for (const id of [...this.passes.keys()]) this.cancel(id);
    const graphs = [this.vad, this.classifier];
    this.vad = this.classifier = null;
    await Promise.all(graphs.map((graph) => graph?.release()));
  }

  private pass(id: number): Pass {
    const pass = this.passes.get(id);
    if (!pass) throw aborted();
    return pass;
  }
}

const bell = new MessageChannel();
const waiting: (() => void)[] = [];
bell.port1.onmessage = () => waiting.shift()?.();
(bell.port1 as { unref?: () => void }).unref?.(); // else Node would never end

/** Yield to the event loop, so that messages such as a cancellation are handled. */
async function turn(pass: Pass): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    bell.port2.postMessage(null);
  });
  pass.gone.signal.throwIfAborted();
}

/** Return the runtime's URL or bytes; the app's is compressed, and is fetched here. */
async function runtimeOf(
  runtime: string | Uint8Array,
  limits: Limits,
): Promise<string | Uint8Array> {
  if (typeof runtime !== "string" || !runtime.endsWith(".gz")) return runtime;
  return unzipped(await fetchedFile(runtime, limits), runtime);
}

async function speechIn(vad: Graph, signal: Float32Array): Promise<Float32Array> {
  return new SpeechDetector(vad).push(signal);
}

function aborted(): DOMException {
  return new DOMException("the analysis was cancelled", "AbortError");
}
