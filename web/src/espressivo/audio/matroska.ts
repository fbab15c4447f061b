/**
 * Matroska and WebM files: delay and padding of encoders, and a cluster that was cut.
 *
 * Mediabunny 1.61 tells neither, and it drops a cluster that is longer than the file.
 * Source: RFC 9559, sections 5.1.3, 5.1.4 and 12.
 */

import { Bytes } from "./bytes";

const TAIL = 2 ** 23; // bytes in which the last cluster is looked for
const CLUSTER = 0x1f43b675;
const [TIMESTAMP, SIMPLE_BLOCK, GROUP, BLOCK, PADDING] = [0xe7, 0xa3, 0xa0, 0xa1, 0x75a2];
const CLUSTER_CHILDREN = [TIMESTAMP, SIMPLE_BLOCK, GROUP, 0xa7, 0xab, 0xbf, 0xec];

const [EBML, SEGMENT, VOID] = [0x1a45dfa3, 0x18538067, 0xec];
const [TRACKS, ENTRY, AUDIO] = [0x1654ae6b, 0xae, 0xe1];
const [NUMBER, DELAY, RATE] = [0xd7, 0x56aa, 0xb5];
const UNTIMED = { delay_s: 0, rate: 0 };
const MOST_BEFORE_TRACKS = 100; // elements

export interface MatroskaEnd {
  /** The file, of which the last cluster ends with its last whole block. */
  readonly file: Blob;
  /** Padding after the sound of each track, by the number of the track, in seconds. */
  readonly padding_s: ReadonlyMap<number, number>;
}

interface Element {
  readonly id: number;
  /** Where the size is stated, and in how many bytes. */
  readonly sizeAt: number;
  readonly width: number;
  readonly from: number;
  /** End as stated; null if it is unknown. */
  readonly to: number | null;
}

/** Split files that were put together, of which all but the last state their size. */
export async function matroskaParts(file: Blob): Promise<Blob[]> {
  const bytes = new Bytes(file);
  const starts: number[] = [];
  for (let at = 0; at < file.size; ) {
    const found = elementAt(await bytes.at(at, 12), 0);
    if (found?.id === EBML) starts.push(at);
    if (!found || found.to === null || ![EBML, SEGMENT, VOID].includes(found.id)) break;
    at += found.to;
  }
  return starts.length > 1
    ? starts.map((from, i) => file.slice(from, starts[i + 1] ?? file.size))
    : [file];
}

export interface TrackTimes {
  /** Time that a decoder gives before the sound, in seconds. */
  readonly delay_s: number;
  /** Sample rate that the track states, in Hz; 0 without any. */
  readonly rate: number;
}

/** Return what a track states of its delay. */
export async function matroskaTimes(file: Blob, trackNumber: number): Promise<TrackTimes> {
  const bytes = new Bytes(file);
  let at = 0;
  for (let i = 0; i < MOST_BEFORE_TRACKS; i++) {
    const found = elementAt(await bytes.at(at, 12), 0);
    if (!found || found.id === CLUSTER) break;
    const length = found.to === null ? 0 : found.to - found.from;
    if (found.id === TRACKS) {
      const tracks = await bytes.at(at + found.from, length);
      const entries = childrenOf(tracks, 0, length, ENTRY);
      const times = entries.map((entry) => timesOf(tracks, entry, trackNumber));
      return times.find((each) => each !== null) ?? UNTIMED;
    }
    // The segment holds all else.
    at += found.from + (found.id === SEGMENT ? 0 : length);
  }
  return UNTIMED;
}

function timesOf(
  tracks: Uint8Array,
  entry: Element,
  trackNumber: number,
): TrackTimes | null {
  const contentOf = (id: number, parent: Element) => {
    const [found] = childrenOf(tracks, parent.from, parent.to ?? 0, id);
    return found && tracks.subarray(found.from, found.to ?? 0);
  };
  const number = contentOf(NUMBER, entry);
  if (!number || unsigned(number) !== trackNumber) return null;
  const delay = contentOf(DELAY, entry);
  const [audio] = childrenOf(tracks, entry.from, entry.to ?? 0, AUDIO);
  const rate = audio && contentOf(RATE, audio);
  const view = rate && new DataView(rate.buffer, rate.byteOffset, rate.length);
  return {
    delay_s: delay ? unsigned(delay) / 1e9 : 0,
    rate: (view && (view.byteLength === 8 ? view.getFloat64(0) : view.getFloat32(0))) || 0,
  };
}

function childrenOf(bytes: Uint8Array, from: number, to: number, id: number): Element[] {
  const found: Element[] = [];
  for (let at = from; at < to; ) {
    const child = elementAt(bytes, at);
    if (!child || child.to === null || child.to > to) break;
    if (child.id === id) found.push(child);
    at = child.to;
  }
  return found;
}

function unsigned(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Read the end of a Matroska file, and repair it if it was cut. */
export async function matroskaEnd(file: Blob): Promise<MatroskaEnd> {
  const start = Math.max(0, file.size - TAIL);
  const tail = await new Bytes(file).at(start, TAIL);
  const cluster = lastCluster(tail);
  const padding_s = new Map<number, number>();
  if (!cluster) return { file, padding_s };
  let at = cluster.from;
  const end = cluster.to ?? tail.length;
  while (at < end) {
    const child = elementAt(tail, at);
    if (!child || child.to === null || child.to > tail.length) break;
    notePadding(tail, child, padding_s);
    at = child.to;
  }
  if (cluster.to === null || cluster.to <= tail.length) return { file, padding_s };
  const size = sizeOf(at - cluster.from, cluster.width);
  const sizeAt = start + cluster.sizeAt;
  const rest = file.slice(sizeAt + cluster.width, start + at);
  return { file: new Blob([file.slice(0, sizeAt), size, rest]), padding_s };
}

function lastCluster(tail: Uint8Array): Element | null {
  for (let at = tail.length - 5; at >= 0; at--) {
    if (tail[at] !== 0x1f) continue;
    const found = elementAt(tail, at);
    if (found?.id !== CLUSTER) continue;
    const child = elementAt(tail, found.from);
    if (child && CLUSTER_CHILDREN.includes(child.id)) return found;
  }
  return null;
}

/** Note the padding of a block, which counts if it is the last of its track. */
function notePadding(
  tail: Uint8Array,
  block: Element,
  padding_s: Map<number, number>,
): void {
  if (block.id === SIMPLE_BLOCK) padding_s.delete(trackOf(tail, block));
  if (block.id !== GROUP || block.to === null) return;
  let track = 0;
  let padding = 0;
  for (let at = block.from; at < block.to; ) {
    const child = elementAt(tail, at);
    if (!child || child.to === null) break;
    if (child.id === BLOCK) track = trackOf(tail, child);
    if (child.id === PADDING) padding = signed(tail.subarray(child.from, child.to));
    at = child.to;
  }
  padding_s.set(track, Math.max(0, padding / 1e9));
}

function trackOf(tail: Uint8Array, block: Element): number {
  return variable(tail, block.from)?.value ?? 0;
}

function elementAt(bytes: Uint8Array, at: number): Element | null {
  const width = Math.clz32(bytes[at] ?? 0) - 23;
  if (width > 4) return null;
  const id = unsigned(bytes.subarray(at, at + width));
  const size = variable(bytes, at + width);
  if (!size) return null;
  const from = at + width + size.width;
  const to = size.value === null ? null : from + size.value;
  return { id, sizeAt: at + width, width: size.width, from, to };
}

/** Read an integer of variable length; its value is null if it means "unknown". */
export function variable(
  bytes: Uint8Array,
  at: number,
): { value: number | null; width: number } | null {
  const first = bytes[at];
  if (!first) return null;
  const width = Math.clz32(first) - 23;
  if (at + width > bytes.length) return null;
  const low = bytes.subarray(at + 1, at + width);
  const all = 0xff >> width;
  const isUnknown = (first & all) === all && low.every((byte) => byte === 0xff);
  const value = low.reduce((sum, byte) => sum * 256 + byte, first & all);
  return { value: isUnknown ? null : value, width };
}

function sizeOf(value: number, width: number): Uint8Array<ArrayBuffer> {
  const size = new Uint8Array(width);
  let rest = value;
  for (let i = width - 1; i >= 0; i--) {
    size[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  size[0] |= 0x80 >> (width - 1);
  return size;
}

function signed(bytes: Uint8Array): number {
  const value = unsigned(bytes);
  return bytes[0] & 0x80 ? value - 256 ** bytes.length : value;
}
