/**
 * The links of a chained Ogg file, and where each ends.
 *
 * Source: RFC 3533, section 6; a link begins with pages that are flagged as beginnings of
 * streams (BOS), and a BOS page after another page begins the next link.
 */

import { Bytes, latin1 } from "./bytes";

const CONTINUED = 1;
const BEGINS = 2;
const ENDS = 4;
const MOST_LINKS = 1000; // more are damage
const LARGEST_PAGE = 65_307; // bytes: 27 + 255 + 255 * 255

export interface OggLink {
  /** Range of the link in the file, in bytes. */
  readonly from: number;
  readonly to: number;
}

/** Granule positions of one stream, in samples. */
export interface OggStamps {
  /** What each page states, by the index of the packet after it. */
  readonly after: ReadonlyMap<number, number>;
  /** What the last page states, if it is flagged as such. */
  readonly end: number | null;
}

interface Page {
  readonly flags: number;
  readonly serial: number;
  readonly granule: number; // position after the last packet, or -1
  readonly nPackets: number; // that end in the page
  readonly dataAt: number; // from its start
  readonly nBytes: number;
}

/** Find the links of an Ogg file; none if the file is not Ogg. */
export async function oggLinks(file: Blob): Promise<OggLink[]> {
  const bytes = new Bytes(file);
  if (latin1(await bytes.at(0, 4)) !== "OggS") return [];
  const links: OggLink[] = [];
  let from = 0;
  let onlyBeginnings = true;
  for await (const [at, page] of pagesIn(bytes)) {
    const begins = (page.flags & BEGINS) !== 0 && !(page.flags & CONTINUED);
    if (begins && !onlyBeginnings) {
      links.push({ from, to: at });
      from = at;
    }
    onlyBeginnings = begins;
  }
  links.push({ from, to: bytes.size });
  return links.length > MOST_LINKS ? [] : links;
}

/** Leave out a last page that was cut, as FFmpeg does; mediabunny 1.61 fails there. */
export async function withoutCutPage(file: Blob): Promise<Blob> {
  const from = Math.max(0, file.size - 2 * LARGEST_PAGE);
  const tail = new Uint8Array(await file.slice(from).arrayBuffer());
  let at = tail.length - 4;
  while (at >= 0 && latin1(tail.subarray(at, at + 4)) !== "OggS") at--;
  if (at < 0) return file;
  const [nSizes] = tail.subarray(at + 26, at + 27);
  const sizes = tail.subarray(at + 27, at + 27 + (nSizes ?? 0));
  const end = at + 27 + sizes.reduce((sum, size) => sum + size, 0) + sizes.length;
  const isWhole = sizes.length === nSizes && end <= tail.length;
  return isWhole ? file : file.slice(0, from + at);
}

/**
 * Return the time stamps that the pages of one stream state, by the index of the packet
 * that follows each page; header packets are counted.
 *
 * Mediabunny 1.61 takes packets to follow one another, whatever the pages say.
 *
 * @param serial Serial number of the stream.
 */
export async function oggStamps(file: Blob, serial: number): Promise<OggStamps> {
  const bytes = new Bytes(file);
  const after = new Map<number, number>();
  let end: number | null = null;
  let nPackets = 0;
  for await (const [, page] of pagesIn(bytes)) {
    if (page.serial === serial) {
      nPackets += page.nPackets;
      if (page.granule >= 0) after.set(nPackets, page.granule);
      if (page.flags & ENDS) end = page.granule;
    }
  }
  return { after, end };
}

/**
 * Return the FLAC file whose packets are in a link, which mediabunny 1.61 does not read;
 * null if the link holds no FLAC. Source: RFC 9639, section 10.1.
 */
export async function flacIn(link: Blob): Promise<Blob | null> {
  const bytes = new Bytes(link);
  const first = await pageAt(bytes, 0);
  if (!first || latin1(await bytes.at(first.dataAt, 5)) !== "\x7fFLAC") return null;
  const pieces: Blob[] = [];
  for await (const [at, page] of pagesIn(bytes)) {
    // The first packet begins with nine bytes that tell of Ogg.
    const from = at + page.dataAt + (at === 0 ? 9 : 0);
    if (page.serial === first.serial) pieces.push(link.slice(from, at + page.nBytes));
  }
  return new Blob([...pieces, new Uint8Array(16)]);
}

/** Yield all pages and where they are. */
async function* pagesIn(bytes: Bytes): AsyncGenerator<[number, Page]> {
  let before = 0;
  for (let at = 0; at >= 0 && at < bytes.size; ) {
    const page = await pageAt(bytes, at);
    if (page) {
      yield [at, page];
      before = at;
      at += page.nBytes;
    } else {
      // The page before is damaged or cut, and is not as long as it says.
      at = await bytes.find("OggS", before + 4);
    }
  }
}

async function pageAt(bytes: Bytes, at: number): Promise<Page | null> {
  const head = await bytes.at(at, 27 + 255);
  if (head.length < 27 || latin1(head.subarray(0, 4)) !== "OggS") return null;
  const sizes = head.subarray(27, 27 + head[26]);
  const nBytes = 27 + head[26] + sizes.reduce((sum, size) => sum + size, 0);
  const view = new DataView(head.buffer, head.byteOffset);
  return {
    flags: head[5],
    serial: view.getUint32(14, true),
    granule: Number(view.getBigInt64(6, true)),
    nPackets: sizes.filter((size) => size < 255).length,
    dataAt: 27 + head[26],
    nBytes,
  };
}
