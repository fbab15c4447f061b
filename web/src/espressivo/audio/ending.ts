/**
 * Truncated files, by the sizes that their own headers announce, as in Python
 * (`audio/containers.py`). What a header leaves open announces nothing.
 */

import { Bytes, latin1 } from "./bytes";
import { variable } from "./matroska";

const OGG_PAGE = 65_307; // bytes of the longest page: 27 + 255 + 255 * 255 (RFC 3533)
// Sizes from here on are left by writers that cannot seek; real files of that size have
// the header RF64.
const ENDLESS = 0x7fff_0000;
// Boxes of the top level of MP4 and QuickTime; other bytes were put behind the end, such
// as an ID3 tag.
const BOXES =
  /^(ftyp|moov|mdat|moof|mfra|free|skip|wide|uuid|sidx|ssix|styp|meta|udta|pnot|prft|emsg|pdin)$/;
const MOST_CHUNKS = 10_000; // more are damage

/** Describe the missing end of a file; null if it is complete or announces no size. */
export async function missingEnd(file: Blob): Promise<string | null> {
  const bytes = new Bytes(file);
  const head = latin1(await bytes.at(0, 12));
  if (/^(RIFF|RF64|BW64)/.test(head)) return missingRiff(bytes);
  if (head.startsWith("OggS")) return missingOgg(bytes);
  if (head.startsWith("ftyp", 4)) return missingMp4(bytes);
  if (head.startsWith("\x1aE\xdf\xa3")) return missingMatroska(bytes);
  return null;
}

/** Compare the chunk `data`: the size of the whole is wrong in harmless files. */
async function missingRiff(bytes: Bytes): Promise<string | null> {
  const is64 = latin1(await bytes.at(0, 4)) !== "RIFF";
  let data64 = 0;
  let at = 12;
  for (let i = 0; i < MOST_CHUNKS && at <= bytes.size; i++) {
    const head = await view(bytes, at, 24);
    if (head.byteLength < 8) return null;
    const name = latin1(new Uint8Array(head.buffer, head.byteOffset, 4));
    const size = head.getUint32(4, true);
    if (name === "ds64" && head.byteLength === 24)
      data64 = Number(head.getBigUint64(16, true));
    if (name === "data") {
      const announced = is64 ? data64 : size;
      const isSize = announced > 0 && (is64 || announced < ENDLESS);
      return isSize ? compared(bytes, at + 8 + announced) : null;
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

/** Walk the boxes of the top level (ISO/IEC 14496-12, section 4.2). */
async function missingMp4(bytes: Bytes): Promise<string | null> {
  let at = 0;
  for (let i = 0; i < MOST_CHUNKS; i++) {
    const head = await view(bytes, at, 16);
    if (head.byteLength < 8) return null;
    let size = head.getUint32(0);
    if (size === 1 && head.byteLength === 16) size = Number(head.getBigUint64(8));
    const name = latin1(new Uint8Array(head.buffer, head.byteOffset + 4, 4));
    // Size 0: the box reaches to the end. Anything below 8 is no box.
    if (size < 8 || !BOXES.test(name)) return null;
    at += size;
    if (at > bytes.size) return compared(bytes, at);
  }
  return null;
}

/** Compare the size of the segment (RFC 8794, sections 4 and 6). */
async function missingMatroska(bytes: Bytes): Promise<string | null> {
  const header = variable(await bytes.at(0, 12), 4);
  if (!header || header.value === null) return null;
  const at = 4 + header.width + header.value;
  const head = await bytes.at(at, 12);
  if (latin1(head.subarray(0, 4)) !== "\x18\x53\x80\x67") return null;
  const segment = variable(head, 4);
  if (!segment || segment.value === null) return null;
  return compared(bytes, at + 4 + segment.width + segment.value);
}

async function missingOgg(bytes: Bytes): Promise<string | null> {
  // Source: RFC 3533, section 6. Byte 26 of a page holds the number of segments, and
  // their sizes follow. A missing flag "end of stream" is harmless.
  const from = Math.max(0, bytes.size - 2 * OGG_PAGE);
  const tail = await bytes.at(from, bytes.size - from);
  const page = tail.subarray(latin1Index(tail, "OggS"));
  const nSegments = page[26] ?? 0;
  const sizes = page.subarray(27, 27 + nSegments);
  const wanted = 27 + nSegments + sizes.reduce((sum, size) => sum + size, 0);
  return page.length >= wanted ? null : "holds only a part of its last page";
}

function latin1Index(bytes: Uint8Array, text: string): number {
  for (let at = bytes.length - text.length; at >= 0; at--) {
    if (latin1(bytes.subarray(at, at + text.length)) === text) return at;
  }
  return 0;
}

async function view(bytes: Bytes, at: number, n: number): Promise<DataView> {
  const found = await bytes.at(at, n);
  return new DataView(found.buffer, found.byteOffset, found.length);
}

function compared(bytes: Bytes, announced: number): string | null {
  // One missing byte is tolerated: many writers forget to pad chunks to even sizes.
  if (bytes.size + 1 >= announced) return null;
  return `holds ${bytes.size} bytes of the ${announced} that its header announces`;
}
