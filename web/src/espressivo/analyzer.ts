/** The interface for programs: analysis of recordings and of live audio with one model. */

import * as Comlink from "comlink";
import { foreignKind } from "./audio/foreign";
import { requireTrack } from "./audio/tracks";
import { type ModelCard, requireAdaptation } from "./card";
import { AudioError, revived } from "./errors";
import type { AdaptationOptions } from "./history";
import type { Host } from "./host";
import {
  floatsOf,
  fromBuffer,
  type RecordingInput,
  requireChannels,
  requireRate,
  type Samples,
  type Sound,
  soundOf,
} from "./inputs";
import type { OnProgress } from "./model-worker";
import type { Kind, Profile } from "./profile";
import { isUncertain, Report } from "./report";
import { type Estimate, SAMPLE_RATE, type StreamUpdate } from "./types";
import { type Limits, within } from "./waits";

export interface AnalyzeOptions {
  /** Sample rate of arrays in Hz, 16,000 by default; files and AudioBuffers have their own. */
  sampleRate?: number;
  /** Number of the file's audio track, from 1; by default the track that players take. */
  track?: number;
  /** Name of the recording in the report. */
  name?: string;
  /** Profile of the speaker, which must have been made with the same model. */
  profile?: Profile | null;
  /** Profile of the setting, such as the microphone; of the same model, too. */
  setting?: Profile | null;
  /**
   * Whether the windows of the recording are judged together, as of one voice in one
   * place; the estimates that `onProgress` receives are those before that.
   */
  adapt?: boolean;
  /** Signal that cancels the analysis; the promise is then rejected with an AbortError. */
  signal?: AbortSignal;
  /** Callback, called every few seconds of recording with the new estimates. */
  onProgress?: (update: StreamUpdate, total_s: number | null) => void;
}

export interface StreamOptions {
  name?: string;
  profile?: Profile | null;
  setting?: Profile | null;
  /** Whether `finish` judges the windows together; the updates before are without it. */
  adapt?: boolean;
  /** Interval in seconds at which an open segment is estimated; 0 for never. */
  hop_s?: number;
}

const BLOCK_S = 5;
const SLOWEST_DECODER = 1e6; // bytes per second, of a decoder that tells no progress
// `decodeAudioData` decodes a file as a whole, and holds all of it in memory.
const LARGEST_WHOLE_BYTES = 500e6;

/** Analyzer of recordings and live audio with one model. */
export class Analyzer {
  /** @internal */
  constructor(
    readonly card: ModelCard,
    private readonly worker: Host,
  ) {}

  /**
   * Analyse a recording of any length.
   *
   * @param recording File, Blob, bytes, Response or URL of an encoded recording; an
   *   AudioBuffer; or samples in -1..1, one array or one per channel.
   * @throws TypeError The input is none of these.
   * @throws ProfileError A profile is of another model or kind.
   * @throws ModelError The model cannot adapt.
   * @throws AudioError The recording cannot be read as audio, or the decoder or the server
   *   gives nothing for `timeout_s`.
   */
  async analyze(recording: RecordingInput, options: AnalyzeOptions = {}): Promise<Report> {
    const { signal, onProgress, track = null } = options;
    const adaptation = this.adaptation(options);
    signal?.throwIfAborted();
    const limits = { timeout_s: this.worker.timeout_s, signal };
    const named = typeof recording === "string" || recording instanceof URL;
    const local = named ? await this.worker.opened?.(recording) : null;
    const sound = await soundOf(local ?? recording, options.sampleRate, limits);
    const name = options.name ?? sound.name;
    const { remote } = this.worker;
    const reply = <T>(asked: Promise<T>) => this.worker.reply(asked, signal);
    const opened = () => {
      const asked = remote.open({ name, adaptation, hop_s: 0 });
      return reply(asked).catch((error) => {
        void asked.then((late) => remote.cancel(late)).catch(() => undefined);
        throw error;
      });
    };
    let id = await opened();
    let ended = false; // the worker's last callbacks may come after its answer
    try {
      if (!("file" in sound)) return await this.analyzeSamples(id, sound, options, null);
      const tell = Comlink.proxy<OnProgress>((update, total_s) => {
        if (!ended) onProgress?.(update, total_s);
      });
      const fields = await reply(remote.analyzeFile(id, sound.file, track, tell));
      if (fields) return new Report(fields);
      if (track !== null) requireTrack(track, 1, name); // only one is decoded below
      const decoded = await decodeWhole(sound.file, name, limits);
      void remote.cancel(id);
      id = await opened();
      return await this.analyzeSamples(id, decoded, options, 1);
    } catch (error) {
      void remote.cancel(id);
      throw signal?.aborted ? signal.reason : revived(error);
    } finally {
      ended = true;
    }
  }

  /**
   * Open a stream, which analyses audio while it arrives.
   *
   * @throws ProfileError A profile is of another model or kind.
   * @throws ModelError The model cannot adapt.
   */
  stream(options: StreamOptions = {}): Stream {
    const { name = "stream", hop_s = 2 } = options;
    const adaptation = this.adaptation(options);
    const id = this.worker.reply(this.worker.remote.open({ name, adaptation, hop_s }));
    return new Stream(this.worker, id);
  }

  /** Return whether an estimate is uncertain; null if the model has no threshold. */
  isUncertain(estimate: Estimate): boolean | null {
    return isUncertain(estimate.probabilities, this.card.certainty);
  }

  /** Release the model and its memory; running analyses are rejected with an AbortError. */
  close(): void {
    this.worker.end(new DOMException("the analyzer was closed", "AbortError"));
  }

  private adaptation({
    profile = null,
    setting = null,
    adapt = false,
  }: Pick<AnalyzeOptions, "profile" | "setting" | "adapt">): AdaptationOptions | null {
    const known = (given: Profile | null, kind: Kind) => {
      if (!given) return null;
      if (typeof given.requireKind !== "function") {
        const wanted = "pass what Profile.parse or Profile.create returns";
        throw new TypeError(`a profile cannot be ${typeof given}; ${wanted}`);
      }
      given.requireKind(kind);
      given.requireModel(this.card);
      return { name: given.name, statistics: given.statistics };
    };
    if (adapt) requireAdaptation(this.card);
    const found = {
      profile: known(profile, "speaker"),
      setting: known(setting, "setting"),
    };
    return profile || setting || adapt ? { ...found, recording: adapt } : null;
  }

  private async analyzeSamples(
    id: number,
    { channels, rate }: Extract<Sound, { rate: number }>,
    { signal, onProgress }: AnalyzeOptions,
    track: number | null,
  ): Promise<Report> {
    const { worker } = this;
    const n = channels[0].length;
    const size = Math.max(1, Math.round(BLOCK_S * rate));
    for (let at = 0; at < n; at += size) {
      const block = channels.map((channel) => floatsOf(channel, at, at + size));
      const pushed = worker.remote.push(id, moved(block), rate);
      const update = await worker.reply(pushed, signal);
      onProgress?.(update, n / rate);
    }
    const fields = await worker.reply(worker.remote.finish(id, track), signal);
    return new Report(fields);
  }
}

/** Stream of live audio, which is analysed while it arrives. */
export class Stream {
  private work: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(
    private readonly worker: Host,
    private readonly id: Promise<number>,
  ) {
    id.catch(() => undefined); // told by the first call
  }

  /**
   * Add any number of samples; calls are processed in order.
   *
   * @param samples Mono samples in -1..1, or PCM; the array is copied.
   * @param sampleRate Sample rate in Hz.
   * @returns The estimates of completed windows, and that of the open segment.
   * @throws TypeError The samples are of another type.
   * @throws AudioError Samples are NaN or infinite, or the rate is no rate.
   */
  async push(samples: Samples, sampleRate = SAMPLE_RATE): Promise<StreamUpdate> {
    requireChannels([samples]);
    requireRate(sampleRate);
    const block = floatsOf(samples);
    return this.next(async () =>
      this.worker.remote.push(await this.id, moved([block]), sampleRate),
    );
  }

  /** End the stream and return the report. */
  finish(): Promise<Report> {
    return this.next(
      async () => new Report(await this.worker.remote.finish(await this.id)),
    );
  }

  /** Cancel the stream and discard its results. */
  cancel(): void {
    void this.id.then((id) => this.worker.remote.cancel(id)).catch(() => undefined);
  }

  private next<T>(step: () => Promise<T>): Promise<T> {
    const before = this.work;
    const done = this.worker.reply(before.then(step)).catch((error) => {
      throw revived(error);
    });
    this.work = done.catch(() => undefined);
    return done;
  }
}

/** Decode a whole file with `decodeAudioData`, for formats that nothing decodes in pieces. */
async function decodeWhole(file: Blob, name: string, limits: Limits) {
  if (file.size > LARGEST_WHOLE_BYTES) {
    throw new AudioError(
      `${name}: is no recording that this browser can decode in pieces, and ` +
        `${Math.round(file.size / 1e6)} MB are too many to try as a whole; ` +
        "pass wav, flac, mp3, ogg, opus, m4a, webm or mp4 with sound",
    );
  }
  const kind = await foreignKind(file);
  const found = kind ? ` (it is ${kind})` : "";
  if (typeof OfflineAudioContext === "undefined") {
    throw new AudioError(
      `${name}: is no recording that can be decoded without a browser${found}; convert it ` +
        "to wav or flac (ffmpeg -i NAME note.wav), or pass samples",
    );
  }
  const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
  const timeout_s = limits.timeout_s + file.size / SLOWEST_DECODER;
  const late = () =>
    new AudioError(
      `${name}: the browser has not decoded it in ${Math.round(timeout_s)} s${found}; ` +
        "convert it to wav or flac",
    );
  const decoded = file.arrayBuffer().then((bytes) => context.decodeAudioData(bytes));
  const answer = within(decoded, { ...limits, timeout_s }, late);
  const foreign = new AudioError(
    `${name}: is no recording that this browser can decode${found}; ` +
      "pass wav, flac, mp3, ogg, opus, m4a, webm or mp4 with sound",
  );
  const buffer = await answer.catch((error) => {
    throw limits.signal?.aborted || error instanceof AudioError ? error : foreign;
  });
  if (buffer.length === 0) throw foreign; // Chromium, of FLAC in Ogg
  return fromBuffer(buffer);
}

/** Transfer arrays to the worker instead of copying them. */
function moved(channels: Float32Array[]): Float32Array[] {
  return Comlink.transfer(
    channels,
    channels.map((channel) => channel.buffer),
  );
}
