/**
 * Edit lists of MP4 and QuickTime files: which parts of a track are played, and when.
 *
 * Source: ISO/IEC 14496-12, section 8.6.6 (edit list box).
 */

import { Bytes, latin1 } from "./bytes";

/** Part of a track that is played. */
export interface Edit {
  /** Range in the track's time as mediabunny tells it, in seconds. */
  readonly from_s: number;
  readonly to_s: number;
  /** When the part is played, in seconds of the movie. */
  readonly at_s: number;
}

interface Box {
  readonly type: string;
  readonly from: number;
  readonly to: number;
}

const EMPTY = -1;
// A damaged list may have millions of entries.
const MOST = 1000;

/**
 * Return the edits of a track; none if the file has no edit list for it.
 *
 * Mediabunny 1.61 shifts a track so that its first edit begins where it is played, and
 * takes no notice of its end and of further edits.
 */
export async function editsOf(file: Blob, trackId: number): Promise<Edit[]> {
  const bytes = new Bytes(file);
  const [moov] = await boxesIn(bytes, { type: "", from: 0, to: bytes.size }, ["moov"]);
  if (!moov) return [];
  const [mvhd] = await boxesIn(bytes, moov, ["mvhd"]);
  for (const trak of await boxesIn(bytes, moov, ["trak"])) {
    const [tkhd] = await boxesIn(bytes, trak, ["tkhd"]);
    const [elst] = await boxesIn(bytes, trak, ["edts", "elst"]);
    const [mdhd] = await boxesIn(bytes, trak, ["mdia", "mdhd"]);
    if (!tkhd || !elst || !mdhd || !mvhd) continue;
    const head = await content(bytes, tkhd);
    // Version 1 has 64-bit times before the field.
    if (head.getUint32(head.getUint8(0) === 1 ? 20 : 12) !== trackId) continue;
    const movie = await content(bytes, mvhd);
    const media = await content(bytes, mdhd);
    return edits(await content(bytes, elst), rateOf(movie), rateOf(media));
  }
  return [];
}

function edits(list: DataView, perMovie: number, perMedia: number): Edit[] {
  const isLong = list.getUint8(0) === 1;
  const width = isLong ? 20 : 12;
  const n = Math.min(list.getUint32(4), MOST, Math.floor((list.byteLength - 8) / width));
  const found: Edit[] = [];
  let at_s = 0;
  let shift_s: number | null = null;
  for (let i = 0; i < n; i++) {
    const at = 8 + width * i;
    const duration = isLong ? Number(list.getBigUint64(at)) : list.getUint32(at);
    const time = isLong ? Number(list.getBigInt64(at + 8)) : list.getInt32(at + 4);
    const length_s = duration / perMovie;
    if (time !== EMPTY) {
      const media_s = time / perMedia;
      shift_s ??= at_s - media_s;
      const from_s = media_s + shift_s;
      // A duration of 0 lasts to the end, as in files that are written in fragments.
      const to_s = duration ? from_s + length_s : Number.POSITIVE_INFINITY;
      found.push({ from_s, to_s, at_s });
    }
    at_s += length_s;
  }
  return found;
}

/** Return the time scale of a movie or media header, in units per second. */
function rateOf(header: DataView): number {
  return header.getUint32(header.getUint8(0) === 1 ? 20 : 12) || 1;
}

async function content(bytes: Bytes, { from, to }: Box): Promise<DataView> {
  const found = (await bytes.at(from, Math.min(to - from, 8 + 20 * MOST))).slice();
  const view = new Uint8Array(Math.max(found.length, 32)); // headers may be cut short
  view.set(found);
  return new DataView(view.buffer);
}

/** Return the boxes of a path below a box. */
async function boxesIn(
  bytes: Bytes,
  parent: Box,
  [type, ...rest]: string[],
): Promise<Box[]> {
  const found: Box[] = [];
  for (let at = parent.from; at + 8 <= parent.to; ) {
    const head = await bytes.at(at, 16);
    if (head.length < 8) break;
    const view = new DataView(head.buffer, head.byteOffset, head.length);
    let size = view.getUint32(0);
    let nHead = 8;
    if (size === 1 && head.length === 16) {
      size = Number(view.getBigUint64(8));
      nHead = 16;
    }
    if (size === 0) size = parent.to - at;
    if (size < nHead) break;
    const box = { type: latin1(head.subarray(4, 8)), from: at + nHead, to: at + size };
    if (box.type === type) {
      found.push(...(rest.length ? await boxesIn(bytes, box, rest) : [box]));
    }
    at += size;
  }
  return found;
}
