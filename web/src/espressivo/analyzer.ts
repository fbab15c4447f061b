/** The interface for pages: a model in a worker, and the analysis of recordings. */

import * as Comlink from "comlink";
import type { KnownSpeaker } from "./analysis";
import type { ModelCard } from "./card";
import { AudioError, revived } from "./errors";
import type { Profile } from "./profile";
import { Report } from "./report";
import { type Backend, SAMPLE_RATE, type StreamUpdate } from "./types";
import vadUrl from "./vad";
import type { ModelSource, ModelWorker } from "./worker";

export interface LoadOptions {
  /** "wasm" (default) runs everywhere; "webgpu" fetches another 27 MB of runtime. */
  backend?: Backend;
  /** Threads of WebAssembly; more than 1 requires a cross-origin isolated page. */
  threads?: number;
}

export interface AnalyzeOptions {
  /** Sample rate of a Float32Array in Hz; files and AudioBuffers have their own. */
  sampleRate?: number;
  /** Name of the recording in the report. */
  name?: string;
  /** Profile of the speaker, which must have been made with the same model. */
  profile?: Profile | null;
  /** Signal that cancels the analysis; the promise is then rejected with an AbortError. */
  signal?: AbortSignal;
  /** Callback, called every few seconds of recording with the new estimates. */
  onProgress?: (update: StreamUpdate, total_s: number | null) => void;
}

export interface StreamOptions {
  name?: string;
  profile?: Profile | null;
  /** Interval in seconds at which an open segment is estimated; 0 for never. */
  hop_s?: number;
}

const BLOCK_S = 5;
// `decodeAudioData` decodes a file as a whole, and holds all of it in memory.
const LARGEST_WHOLE_BYTES = 500e6;

/**
 * Load a model folder (`model.json`, `model.onnx`) into a worker and verify it.
 *
 * @param source URL of the folder, or its files as the user selected them.
 * @throws ModelError The folder is missing, or a file differs from its card.
 */
export async function loadModel(
  source: string | URL | readonly File[],
  options: LoadOptions = {},
): Promise<Analyzer> {
  const backend = options.backend ?? "wasm";
  const threads = globalThis.crossOriginIsolated
    ? (options.threads ?? defaultThreads())
    : 1;
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const gone = new AbortController();
  worker.onerror = ({ message }) =>
    gone.abort(new Error(`the worker has failed (${message || "it cannot start"})`));
  const remote = Comlink.wrap<ModelWorker>(worker);
  const from: ModelSource = isFiles(source)
    ? source
    : new URL(source, document.baseURI).href;
  try {
    const settings = { source: from, vadUrl, backend, threads };
    const card = await unless(gone.signal, remote.load(settings));
    return new Analyzer(card, backend, worker, remote, gone);
  } catch (error) {
    worker.terminate();
    throw revived(error);
  }
}

/** Analyzer of recordings and live audio with one model. */
export class Analyzer {
  /** @internal */
  constructor(
    readonly card: ModelCard,
    readonly backend: Backend,
    private readonly worker: Worker,
    private readonly remote: Comlink.Remote<ModelWorker>,
    private readonly gone: AbortController,
  ) {}

  /**
   * Analyse a recording of any length.
   *
   * @param recording File, AudioBuffer, or samples in -1..1.
   * @throws AudioError The recording cannot be read as audio.
   */
  async analyze(
    recording: Blob | AudioBuffer | Float32Array,
    options: AnalyzeOptions = {},
  ): Promise<Report> {
    const name = options.name ?? (recording instanceof File ? recording.name : "array");
    const { signal, profile = null, onProgress } = options;
    const known = this.known(profile);
    signal?.throwIfAborted();
    let id = await this.reply(this.remote.open({ name, known, hop_s: 0 }));
    const cancel = () => void this.remote.cancel(id);
    signal?.addEventListener("abort", cancel);
    try {
      if (recording instanceof Blob) {
        const tell = Comlink.proxy(onProgress ?? (() => {}));
        const fields = await this.reply(this.remote.analyzeFile(id, recording, tell));
        if (fields) return finished(new Report(fields));
        const decoded = await decodeWhole(recording, name);
        signal?.throwIfAborted();
        cancel();
        id = await this.reply(this.remote.open({ name, known, hop_s: 0 }));
        return await this.analyzeChannels(id, decoded, onProgress);
      }
      const rate = options.sampleRate ?? SAMPLE_RATE;
      const whole = isBuffer(recording)
        ? fromBuffer(recording)
        : { channels: [recording], rate };
      return await this.analyzeChannels(id, whole, onProgress);
    } catch (error) {
      cancel();
      throw signal?.aborted ? signal.reason : revived(error);
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /**
   * Open a stream, which analyses audio while it arrives.
   *
   * @throws ProfileError The profile is of another model.
   */
  stream(options: StreamOptions = {}): Stream {
    const { name = "stream", profile = null, hop_s = 2 } = options;
    const known = this.known(profile);
    const id = this.reply(this.remote.open({ name, known, hop_s }));
    return new Stream(this.remote, id, this.gone.signal);
  }

  /** Classify one window and time it, to compare backends. */
  probe(signal: Float32Array): Promise<{ probabilities: readonly number[]; ms: number }> {
    return this.reply(this.remote.probe(signal));
  }

  /** Release the model and its memory; running analyses are rejected with an AbortError. */
  close(): void {
    this.worker.terminate();
    this.gone.abort(new DOMException("the analyzer was closed", "AbortError"));
  }

  private reply<T>(asked: Promise<T>): Promise<T> {
    return unless(this.gone.signal, asked);
  }

  private known(profile: Profile | null): KnownSpeaker | null {
    profile?.requireModel(this.card);
    return (
      profile && { speaker: profile.speaker, speakerStatistics: profile.speakerStatistics }
    );
  }

  private async analyzeChannels(
    id: number,
    { channels, rate }: { channels: readonly Float32Array[]; rate: number },
    onProgress: AnalyzeOptions["onProgress"],
  ): Promise<Report> {
    const n = channels[0]?.length ?? 0;
    const size = Math.max(1, Math.round(BLOCK_S * rate));
    for (let at = 0; at < n; at += size) {
      const block = channels.map((channel) => channel.slice(at, at + size));
      const update = await this.reply(this.remote.push(id, moved(block), rate));
      onProgress?.(update, n / rate);
    }
    return finished(new Report(await this.reply(this.remote.finish(id, []))));
  }
}

/** Stream of live audio, which is analysed while it arrives. */
export class Stream {
  private work: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(
    private readonly remote: Comlink.Remote<ModelWorker>,
    private readonly id: Promise<number>,
    private readonly gone: AbortSignal,
  ) {}

  /**
   * Add any number of samples; calls are processed in order.
   *
   * @param samples Mono samples in -1..1; the array is copied.
   * @param sampleRate Sample rate in Hz.
   * @returns The estimates of completed windows, and that of the open segment.
   */
  push(samples: Float32Array, sampleRate = SAMPLE_RATE): Promise<StreamUpdate> {
    const block = samples.slice();
    return this.next(async () =>
      this.remote.push(await this.id, moved([block]), sampleRate),
    );
  }

  /** End the stream and return the report. */
  finish(): Promise<Report> {
    return this.next(async () =>
      finished(new Report(await this.remote.finish(await this.id, []))),
    );
  }

  /** Cancel the stream and discard its results. */
  cancel(): void {
    void this.id.then((id) => this.remote.cancel(id));
  }

  private next<T>(step: () => Promise<T>): Promise<T> {
    const done = unless(this.gone, this.work.then(step)).catch((error) => {
      throw revived(error);
    });
    this.work = done.catch(() => undefined);
    return done;
  }
}

/** Wait for a result of the worker; reject when the worker fails or is closed. */
function unless<T>(gone: AbortSignal, reply: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = () => reject(gone.reason);
    if (gone.aborted) end();
    gone.addEventListener("abort", end);
    reply.then(resolve, reject).finally(() => gone.removeEventListener("abort", end));
  });
}

/** Add a warning to the report when the voice does not fit the profile. */
function finished(report: Report): Report {
  const use = report.profile;
  if (!use || report.fits !== false) return report;
  const warning =
    `the voice does not fit profile '${use.speaker}': its distance is ` +
    `${use.distance?.toFixed(1)}, and ${use.distanceLimit.toFixed(1)} is rarely exceeded by ` +
    "the same voice; is it someone else?";
  return new Report({ ...report, warnings: [...report.warnings, warning] });
}

/** Decode a whole file with `decodeAudioData`, for formats that WebCodecs lacks. */
async function decodeWhole(file: Blob, name: string) {
  if (file.size > LARGEST_WHOLE_BYTES) {
    throw new AudioError(
      `${name}: is no recording that this browser can decode in pieces, and ` +
        `${Math.round(file.size / 1e6)} MB are too many to try as a whole; ` +
        "pass wav, flac, mp3, ogg, opus, m4a, webm or mp4 with sound",
    );
  }
  const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
  try {
    return fromBuffer(await context.decodeAudioData(await file.arrayBuffer()));
  } catch {
    throw new AudioError(
      `${name}: is no recording that this browser can decode; ` +
        "pass wav, flac, mp3, ogg, opus, m4a, webm or mp4 with sound",
    );
  }
}

function fromBuffer(buffer: AudioBuffer): { channels: Float32Array[]; rate: number } {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) =>
    buffer.getChannelData(i),
  );
  return { channels, rate: buffer.sampleRate };
}

/** Transfer arrays to the worker instead of copying them. */
function moved(channels: Float32Array[]): Float32Array[] {
  return Comlink.transfer(
    channels,
    channels.map((channel) => channel.buffer),
  );
}

function isFiles(source: string | URL | readonly File[]): source is readonly File[] {
  return Array.isArray(source);
}

function isBuffer(recording: AudioBuffer | Float32Array): recording is AudioBuffer {
  return "getChannelData" in recording;
}

function defaultThreads(): number {
  return Math.max(1, Math.min(4, Math.floor(navigator.hardwareConcurrency / 2)));
}
