/**
 * The parts of an MP3 file that was put together from several.
 *
 * A part begins at an ID3 tag, at the frame in which encoders note the length (Xing or
 * Info), or where the sample rate or the number of channels changes.
 *
 * Source: ISO/IEC 11172-3, section 2.4.2.3, and 13818-3 (MPEG 2 and 2.5).
 */

import { Bytes, latin1 } from "./bytes";

const KBPS = {
  one: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  two: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const RATES = [44_100, 48_000, 32_000];
const LAYER_3 = 1;
const RESERVED = 1; // among versions: 0 is MPEG 2.5, 2 is MPEG 2, 3 is MPEG 1
const MONO = 3; // among channel modes

export interface Mp3Frame {
  readonly rate: number;
  readonly nChannels: number;
  /** Samples per channel. */
  readonly nSamples: number;
  readonly nBytes: number;
  /** Where an encoder's note begins, from the frame's start. */
  readonly noteAt: number;
}

export interface Mp3Part {
  /** Range of the part in the file, in bytes. */
  readonly from: number;
  readonly to: number;
  /** Length of the encoder's note, which is played as silence; 0 without one. */
  readonly note_s: number;
}

/** Read the header of a layer III frame; null if there is none at `at`. */
export function mp3Frame(bytes: Uint8Array, at = 0): Mp3Frame | null {
  const [a, b, c, d] = bytes.subarray(at, at + 4);
  if (d === undefined || a !== 0xff || (b & 0xe0) !== 0xe0) return null;
  const version = (b >> 3) & 3;
  const [kbps, rate] = [c >> 4, (c >> 2) & 3];
  if (version === RESERVED || ((b >> 1) & 3) !== LAYER_3) return null;
  if (kbps === 0 || kbps === 15 || rate === 3) return null;
  const isOne = version === 3;
  const hz = RATES[rate] >> (isOne ? 0 : version === 2 ? 1 : 2);
  const bps = 1000 * (isOne ? KBPS.one : KBPS.two)[kbps];
  const isMono = d >> 6 === MONO;
  const nSamples = isOne ? 1152 : 576;
  return {
    rate: hz,
    nChannels: isMono ? 1 : 2,
    nSamples,
    nBytes: Math.floor(((nSamples / 8) * bps) / hz) + ((c >> 1) & 1),
    noteAt: 4 + (isOne ? (isMono ? 17 : 32) : isMono ? 9 : 17),
  };
}

/** Find the parts of an MP3 file, which has one if it was not put together. */
export async function mp3Parts(file: Blob): Promise<Mp3Part[]> {
  const bytes = new Bytes(file);
  const starts: { from: number; note_s: number }[] = [];
  let before: Mp3Frame | null = null;
  for (let at = 0; at < bytes.size; ) {
    const untagged = await afterTags(bytes, at);
    const frame = await frameAt(bytes, untagged, before);
    if (!frame) {
      at = await nextStart(bytes, untagged + 1);
      continue;
    }
    const isTagged = untagged > at;
    const isNote = await hasNote(bytes, untagged, frame);
    if (isTagged || isNote || !isAlike(frame, before)) {
      // After a tag, FFmpeg takes the note for a part of the tag.
      const note_s = isNote && !isTagged ? frame.nSamples / frame.rate : 0;
      starts.push({ from: at, note_s });
    }
    before = frame;
    at = untagged + frame.nBytes;
  }
  return starts.map(({ from, note_s }, i) => ({
    from: i === 0 ? 0 : from,
    to: starts[i + 1]?.from ?? bytes.size,
    note_s,
  }));
}

/** Return the frame at `at`, if it continues the stream or another frame follows it. */
async function frameAt(
  bytes: Bytes,
  at: number,
  before: Mp3Frame | null,
): Promise<Mp3Frame | null> {
  const frame = mp3Frame(await bytes.at(at, 4));
  if (!frame || isAlike(frame, before)) return frame;
  const next = at + frame.nBytes;
  if (next >= bytes.size) return null;
  return isAlike(mp3Frame(await bytes.at(next, 4)), frame) ? frame : null;
}

function isAlike(one: Mp3Frame | null, other: Mp3Frame | null): boolean {
  return one?.rate === other?.rate && one?.nChannels === other?.nChannels;
}

/** Return the position of the next ID3 tag or frame, or the end of the file. */
async function nextStart(bytes: Bytes, from: number): Promise<number> {
  for (let at = from; at + 4 <= bytes.size; ) {
    const piece = await bytes.at(at, Math.min(2 ** 16, bytes.size - at));
    for (let i = 0; i + 4 <= piece.length; i++) {
      if (piece[i] === 0xff && mp3Frame(piece, i)) return at + i;
      if (piece[i] === 0x49 && latin1(piece.subarray(i, i + 3)) === "ID3") return at + i;
    }
    at += piece.length - 3;
  }
  return bytes.size;
}

/** Return the position after the ID3 tags at `at`. */
async function afterTags(bytes: Bytes, at: number): Promise<number> {
  const head = await bytes.at(at, 10);
  if (head.length < 10 || latin1(head.subarray(0, 3)) !== "ID3") return at;
  const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 127), 0);
  return afterTags(bytes, at + 10 + size);
}

async function hasNote(bytes: Bytes, at: number, frame: Mp3Frame): Promise<boolean> {
  return ["Xing", "Info"].includes(latin1(await bytes.at(at + frame.noteAt, 4)));
}
