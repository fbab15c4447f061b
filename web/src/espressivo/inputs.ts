/** What `analyze` takes: files in many forms, and samples in many forms. */

import { AudioError } from "./errors";
import { bodyOf, fetched } from "./fetching";
import { SAMPLE_RATE } from "./types";
import type { Limits } from "./waits";

/** Samples of one channel: floats in -1..1, or PCM of 16 or 32 bits. */
export type Samples = Float32Array | Float64Array | Int16Array | Int32Array;

/**
 * A recording: an encoded file (Blob, File, bytes, Response, or a URL to fetch), or
 * samples (AudioBuffer, one array, or an array per channel). A Uint8Array holds the bytes
 * of a file, not 8-bit samples.
 */
export type RecordingInput =
  | Blob
  | ArrayBuffer
  | Uint8Array
  | DataView
  | Response
  | URL
  | string
  | AudioBuffer
  | Samples
  | readonly Samples[];

/** Encoded file, or samples with their rate. */
export type Sound =
  | { readonly file: Blob; readonly name: string }
  | { readonly channels: readonly Samples[]; readonly rate: number; readonly name: string };

const WANTED =
  "pass a File, Blob, ArrayBuffer, Uint8Array, Response or URL of a recording (in " +
  "Node also its path), an AudioBuffer, or samples in -1..1 as Float32Array (one array per channel)";
// A lower rate is one in kHz, and browsers know no higher one.
const RATES = { least: 1000, most: 768_000 };
// Floats may overshoot -1..1 somewhat; a larger peak means unscaled integers.
const LOUDEST = 32;
const MOST_CHANNELS = 32;
const FULL_SCALE: Record<string, number> = { Int16Array: 2 ** 15, Int32Array: 2 ** 31 };
const BYTES = new Set(["ArrayBuffer", "SharedArrayBuffer", "Uint8Array", "DataView"]);
const SAMPLES = new Set(["Float32Array", "Float64Array", "Int16Array", "Int32Array"]);

/**
 * Tell files from samples, and check them; URLs are fetched.
 *
 * @throws TypeError The input is of another type.
 * @throws AudioError The input is of a right type, but cannot be a recording.
 */
export async function soundOf(
  recording: RecordingInput,
  sampleRate: number | undefined,
  limits: Limits,
): Promise<Sound> {
  const type = typeOf(recording);
  if (type === "Blob") return { file: recording as Blob, name: "recording" };
  if (type === "File") return { file: recording as File, name: (recording as File).name };
  if (BYTES.has(type))
    return { file: bytesOf(recording as ArrayBuffer), name: "recording" };
  if (type === "Response") return respondedBy(recording as Response, limits);
  if (type === "String" || type === "URL") return fetchedFrom(String(recording), limits);
  if (type === "AudioBuffer") return fromBuffer(recording as AudioBuffer);
  if (SAMPLES.has(type)) return samplesOf([recording as Samples], sampleRate);
  if (type === "Array") return samplesOf(recording as readonly Samples[], sampleRate);
  throw new TypeError(`a recording cannot be ${told(recording, type)}; ${WANTED}`);
}

/**
 * Check a sample rate.
 *
 * @throws AudioError It is not a whole number of Hz that sound is recorded with.
 */
export function requireRate(rate: number): void {
  const { least, most } = RATES;
  if (Number.isInteger(rate) && rate >= least && rate <= most) return;
  throw new AudioError(
    `array: sample rate is ${rate}; pass a whole number in Hz from ${least} to ${most}, ` +
      "such as 44100",
  );
}

/**
 * Check arrays of samples, one per channel.
 *
 * @throws TypeError One is of a type whose scale is unknown.
 * @throws AudioError There are none, or their lengths differ.
 */
export function requireChannels(channels: readonly Samples[]): void {
  if (channels.length === 0) {
    throw new AudioError("array: has no channels; pass at least one");
  }
  if (channels.length > MOST_CHANNELS) {
    throw new AudioError(
      `array: has ${channels.length} channels; pass one Float32Array per channel, at ` +
        `most ${MOST_CHANNELS}`,
    );
  }
  for (const channel of channels) {
    const type = typeOf(channel);
    if (!SAMPLES.has(type)) {
      const text = `samples cannot be ${told(channel, type)}, whose full scale is unknown`;
      throw new TypeError(`${text}; pass a Float32Array in -1..1`);
    }
    requireAttached(channel);
    if (channel.length !== channels[0].length) {
      const lengths = channels.map((each) => each.length).join(", ");
      throw new AudioError(`array: its channels differ in length (${lengths} samples)`);
    }
  }
}

/**
 * Check that samples are scaled to -1..1.
 *
 * @throws AudioError A sample is far beyond full scale.
 */
export function requireScaled(channels: readonly Float32Array[]): void {
  let loudest = 0;
  for (const channel of channels) {
    for (let i = 0; i < channel.length; i++) {
      const level = Math.abs(channel[i]);
      if (level > loudest && level < Number.POSITIVE_INFINITY) loudest = level;
    }
  }
  if (loudest <= LOUDEST) return;
  throw new AudioError(
    `array: the largest sample is ${Number(loudest.toPrecision(6))}, not within -1..1; ` +
      "divide by the full scale (32768 for 16-bit audio)",
  );
}

/** Copy a part of one channel as floats with full scale 1. */
export function floatsOf(channel: Samples, from = 0, to = channel.length): Float32Array {
  const scale = FULL_SCALE[typeOf(channel)];
  const part = channel.subarray(from, to);
  return scale ? Float32Array.from(part, (x) => x / scale) : Float32Array.from(part);
}

export function fromBuffer(buffer: AudioBuffer): Extract<Sound, { rate: number }> {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) =>
    buffer.getChannelData(i),
  );
  return { channels, rate: buffer.sampleRate, name: "array" };
}

function samplesOf(channels: readonly Samples[], rate: number = SAMPLE_RATE): Sound {
  requireChannels(channels);
  requireRate(rate);
  return { channels, rate, name: "array" };
}

function bytesOf(
  bytes: ArrayBuffer | Uint8Array<ArrayBuffer> | DataView<ArrayBuffer>,
): Blob {
  requireAttached(bytes);
  return new Blob([bytes]);
}

/** Refuse memory that was transferred, which looks as if it were empty. */
function requireAttached(bytes: ArrayBuffer | ArrayBufferView): void {
  const buffer = "buffer" in bytes ? bytes.buffer : bytes;
  try {
    new Uint8Array(buffer);
  } catch {
    throw new TypeError(
      "the recording's memory was transferred to another thread; pass it before that, or a copy",
    );
  }
}

async function respondedBy(response: Response, limits: Limits): Promise<Sound> {
  const name = nameIn(response.url);
  const failed = (reason: string) => new AudioError(`${name}: ${reason}`);
  return { file: await bodyOf(response, limits, failed), name };
}

async function fetchedFrom(text: string, limits: Limits): Promise<Sound> {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (!text.trim() || !URL.canParse(text, base)) {
    throw new TypeError(`a recording cannot be the text '${text.slice(0, 60)}'; ${WANTED}`);
  }
  const { href } = new URL(text, base);
  const name = nameIn(href);
  const failed = (reason: string) => new AudioError(`${name}: ${reason}`);
  return { file: await fetched(href, limits, failed), name };
}

/** Return the last part of a URL's path, or "recording". */
function nameIn(url: string): string {
  if (!/^(https?|file):/.test(url)) return "recording";
  const last = new URL(url).pathname.split("/").pop() ?? "";
  try {
    return decodeURIComponent(last) || "recording";
  } catch {
    return last;
  }
}

/** Return the name of a value's type, also for objects of another frame. */
function typeOf(value: unknown): string {
  if (value && typeof value === "object" && "getChannelData" in value) return "AudioBuffer";
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function told(value: unknown, type: string): string {
  if (value === null || value === undefined) return String(value);
  if (type === "Promise") return "a Promise (await it first)";
  if (type === "MediaStream") return "a MediaStream (which is live: use stream())";
  return /^[AEIO]/.test(type) ? `an ${type}` : `a ${type}`;
}
