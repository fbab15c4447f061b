/**
 * Files that were put together from several, split into their parts.
 *
 * Mediabunny 1.61 reads the first link of a chained Ogg file, the first of Matroska and
 * FLAC files put together, and of an MP3 the frames with the format of the first.
 */

import {
  ADTS,
  BlobSource,
  FLAC,
  Input,
  type InputFormat,
  MATROSKA,
  MP3,
  MP4,
  MPEG_TS,
  OGG,
  QTFF,
  WAVE,
  WEBM,
} from "mediabunny";
import type { Limits } from "../waits";
import { Bytes } from "./bytes";
import { matroskaEnd, matroskaParts } from "./matroska";
import { mp3Parts } from "./mp3";
import { flacIn, oggLinks, withoutCutPage } from "./ogg";
import { waited } from "./source";

// All but playlists, which would have the browser fetch other files.
const FORMATS = [MP4, QTFF, MATROSKA, WEBM, WAVE, OGG, FLAC, MP3, ADTS, MPEG_TS];
const NONE: ReadonlyMap<number, number> = new Map();
// FFmpeg distrusts what an MP3 says of its length if more than this share follows.
const FOLLOWING = 1 / 16;
const MOST_PARTS = 1000; // more are damage
const FLAC_START = "fLaC\0\0\0\x22"; // and the header of the block with the format

/** Part of a file that is not opened yet. */
export interface Piecemeal {
  readonly file: Blob;
  /** Which delay and padding of an MP3 encoder are trimmed. */
  readonly trims: "both" | "start" | "none";
  /** Silence before the part, in seconds. */
  readonly silence_s: number;
  /** Padding after the sound of each track, by the track's number, in seconds. */
  readonly padding_s: ReadonlyMap<number, number>;
}

/** Name of the recording in messages, and limits of all waits. */
export interface Named {
  readonly name: string;
  readonly limits: Limits;
}

const ONLY = { trims: "both", silence_s: 0, padding_s: NONE } as const;

/** Split a file that was put together from several. */
export async function partsOf(file: Blob, named: Named): Promise<Piecemeal[]> {
  const input = inputOf(file);
  const format = await waited(named, input.getFormat());
  input.dispose();
  const parts = await splitBy(format, file);
  return parts.length > MOST_PARTS ? [{ ...ONLY, file }] : parts;
}

async function splitBy(format: InputFormat, file: Blob): Promise<Piecemeal[]> {
  if (format === OGG) {
    const whole = await withoutCutPage(file);
    const links = (await oggLinks(whole)).map(({ from, to }) => whole.slice(from, to));
    const readable = links.map(async (link) => (await flacIn(link)) ?? link);
    return (await Promise.all(readable)).map((each) => ({ ...ONLY, file: each }));
  }
  if (isMatroska(format)) {
    const ends = (await matroskaParts(file)).map((part) => matroskaEnd(part));
    return (await Promise.all(ends)).map((end) => ({ ...ONLY, ...end }));
  }
  if (format === FLAC) return flacParts(file);
  const whole = withRoom(file, format);
  return format === MP3 ? partsOfMp3(whole) : [{ ...ONLY, file: whole }];
}

async function flacParts(file: Blob): Promise<Piecemeal[]> {
  const bytes = new Bytes(file);
  const starts = [0];
  for (let at = 0; at >= 0 && starts.length <= MOST_PARTS; ) {
    at = await bytes.find(FLAC_START, at + 4);
    if (at > 0) starts.push(at);
  }
  return starts.map((from, i) => {
    return { ...ONLY, file: withRoom(file.slice(from, starts[i + 1]), FLAC) };
  });
}

async function partsOfMp3(file: Blob): Promise<Piecemeal[]> {
  const [first, ...others] = await mp3Parts(file);
  if (!first) return [{ ...ONLY, file }];
  const isLonger = file.size - first.to > FOLLOWING * first.to;
  // As in FFmpeg, which trims the first part only.
  return [
    { ...ONLY, file: file.slice(0, first.to), trims: isLonger ? "start" : "both" },
    ...others.map(({ from, to, note_s }) => {
      const part = file.slice(from, to);
      return { ...ONLY, file: part, trims: "none" as const, silence_s: note_s };
    }),
  ];
}

export function isMp4(format: InputFormat): boolean {
  return format === MP4 || format === QTFF;
}

export function isMatroska(format: InputFormat): boolean {
  return format === MATROSKA || format === WEBM;
}

export function inputOf(file: Blob): Input {
  return new Input({ source: new BlobSource(file), formats: FORMATS });
}

/**
 * Append some bytes to a file.
 *
 * Mediabunny 1.61 drops a last frame of FLAC that is shorter than 16 bytes, such as one of
 * digital silence, and a last frame of MP3 or AAC that was cut. Decoders ignore bytes
 * after the last frame.
 */
function withRoom(file: Blob, format: InputFormat): Blob {
  const n = format === FLAC ? 16 : format === MP3 || format === ADTS ? 1500 : 0;
  return n ? new Blob([file, new Uint8Array(n)]) : file;
}
