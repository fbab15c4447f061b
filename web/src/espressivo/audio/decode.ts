/**
 * Decode a file into blocks of mono samples at 16 kHz, in constant memory.
 *
 * Mediabunny reads the container and the browser's WebCodecs decode. As in Python, the
 * signal is the mean over channels, and gaps in the timestamps are not filled.
 */

import {
  ALL_FORMATS,
  type AudioSample,
  AudioSampleSink,
  BlobSource,
  Input,
  type InputAudioTrack,
} from "mediabunny";
import { AudioError } from "./errors";
import { type Extent, mp3Extent, WHOLE } from "./gapless";
import { Resampler } from "./resample";
import { SAMPLE_RATE } from "./types";

const BLOCK = 5 * SAMPLE_RATE;

/** Error for a file that WebCodecs cannot decode, while `decodeAudioData` may. */
export class NotDecodable extends AudioError {}

export interface Decoding {
  /** Duration in seconds as stated by the container; null where it states none. */
  readonly total_s: number | null;
  readonly blocks: AsyncGenerator<Float32Array>;
  /** Problems that are not fatal; complete after the last block. */
  readonly warnings: string[];
}

/**
 * Open a recording.
 *
 * @throws NotDecodable The container or the codec is not supported by WebCodecs.
 * @throws AudioError The file holds no audio stream.
 */
export async function openRecording(file: Blob, name: string): Promise<Decoding> {
  if (file.size === 0) throw new AudioError(`${name}: the file is empty; pass a recording`);
  const source = new BlobSource(await withRoom(file));
  const input = new Input({ source, formats: ALL_FORMATS });
  const track = await audioTrack(input, name);
  const metadata = await track.getDurationFromMetadata().catch(() => null);
  const warnings: string[] = [];
  return { total_s: metadata, blocks: blocks(track, file, name, warnings), warnings };
}

/**
 * Append 16 bytes to a FLAC file.
 *
 * Mediabunny 1.61 drops a last frame that is shorter than that, such as one of digital
 * silence. Decoders ignore bytes after the last frame.
 */
async function withRoom(file: Blob): Promise<Blob> {
  const isFlac = (await file.slice(0, 4).text()) === "fLaC";
  return isFlac ? new Blob([file, new Uint8Array(16)]) : file;
}

async function audioTrack(input: Input, name: string): Promise<InputAudioTrack> {
  if (typeof AudioDecoder === "undefined") throw new NotDecodable("no WebCodecs");
  let track: InputAudioTrack | null;
  try {
    track = await input.getPrimaryAudioTrack();
  } catch (error) {
    throw new NotDecodable(`${name}: ${(error as Error).message}`);
  }
  if (!track) {
    throw new AudioError(`${name}: holds no audio stream; pass a recording with sound`);
  }
  if (!(await track.canDecode())) {
    throw new NotDecodable(`${name}: this browser decodes no ${await track.getCodec()}`);
  }
  return track;
}

async function* blocks(
  track: InputAudioTrack,
  file: Blob,
  name: string,
  warnings: string[],
): AsyncGenerator<Float32Array> {
  let resampler: Resampler | null = null;
  let rate = 0;
  let nDecoded = 0;
  const held = new Held();
  try {
    const extent = await extentOf(track, file);
    for await (const sample of new AudioSampleSink(track).samples()) {
      const signal = monoOf(sample, extent, name);
      if (!resampler || sample.sampleRate !== rate) {
        if (resampler) held.push(resampler.finish()); // the rate may change within a stream
        rate = sample.sampleRate;
        resampler = new Resampler(rate);
      }
      nDecoded += signal.length;
      sample.close();
      held.push(resampler.push(signal));
      if (held.n >= BLOCK) yield held.take();
    }
  } catch (error) {
    if (error instanceof AudioError) throw error;
    if (nDecoded === 0) throw new NotDecodable(`${name}: ${(error as Error).message}`);
    warnings.push(`${name}: stopped early (${(error as Error).message})`);
  }
  if (nDecoded === 0) throw new NotDecodable(`${name}: no audio could be decoded`);
  if (resampler) held.push(resampler.finish());
  if (held.n) yield held.take();
}

/** Return the range of decoded samples without encoder delay and padding. */
async function extentOf(track: InputAudioTrack, file: Blob): Promise<Extent> {
  const codec = await track.getCodec();
  // Opus pads its last packet; samples before time 0 are encoder delay, as in AAC.
  if (codec === "opus") return { start_s: 0, end_s: await track.computeDuration() };
  return codec === "mp3" ? mp3Extent(file, await track.getSampleRate()) : WHOLE;
}

/** Queue of decoded signals that are not yet a full block. */
class Held {
  private pieces: Float32Array[] = [];
  n = 0;

  push(piece: Float32Array): void {
    this.pieces.push(piece);
    this.n += piece.length;
  }

  take(): Float32Array {
    const whole = new Float32Array(this.n);
    let at = 0;
    for (const piece of this.pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.pieces = [];
    this.n = 0;
    return whole;
  }
}

function monoOf(sample: AudioSample, extent: Extent, name: string): Float32Array {
  const { timestamp, sampleRate, numberOfFrames } = sample;
  const at = (time_s: number) =>
    Math.min(numberOfFrames, Math.max(0, Math.round((time_s - timestamp) * sampleRate)));
  const [from, to] = [at(extent.start_s), at(extent.end_s)];
  const channels = Array.from({ length: sample.numberOfChannels }, (_, i) =>
    planeOf(sample, i).subarray(from, to),
  );
  return mixed(channels, name);
}

/** Return the samples of one channel, with full scale 1. */
function planeOf(sample: AudioSample, planeIndex: number): Float32Array {
  const plane = new Float32Array(sample.numberOfFrames);
  if (!sample.format.startsWith("s16")) {
    sample.copyTo(plane, { planeIndex, format: "f32-planar" });
    return plane;
  }
  // Chromium divides positive samples by 32767; Python and FFmpeg divide by 32768.
  const pcm = new Int16Array(sample.numberOfFrames);
  sample.copyTo(pcm, { planeIndex, format: "s16-planar" });
  for (let i = 0; i < pcm.length; i++) plane[i] = pcm[i] / 32768;
  return plane;
}

/**
 * Return the mean over channels.
 *
 * @throws AudioError A sample is NaN or infinite.
 */
export function mixed(channels: readonly Float32Array[], name: string): Float32Array {
  const [first, ...others] = channels;
  if (!first) throw new AudioError(`${name}: has no channels; pass a recording with sound`);
  const mean = Float32Array.from(first);
  for (const other of others) for (let i = 0; i < mean.length; i++) mean[i] += other[i];
  if (others.length) for (let i = 0; i < mean.length; i++) mean[i] /= channels.length;
  if (!mean.every(Number.isFinite)) {
    throw new AudioError(`${name}: holds NaN or infinite samples; repair the recording`);
  }
  return mean;
}
