/** Small files of several containers, made byte by byte. */

export function text(letters: string): Uint8Array {
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

export function concatenated(
  ...pieces: (Uint8Array | number[])[]
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function blob(...pieces: (Uint8Array | number[])[]): Blob {
  return new Blob([concatenated(...pieces)]);
}

/** A number in big-endian bytes. */
export function big(value: number, nBytes = 4): number[] {
  return Array.from({ length: nBytes }, (_, i) =>
    Number((BigInt(value) >> BigInt(8 * (nBytes - 1 - i))) & 0xffn),
  );
}

/** A box of MP4. */
export function box(type: string, ...content: (Uint8Array | number[])[]): Uint8Array {
  const inside = concatenated(...content);
  return concatenated(big(8 + inside.length), text(type), inside);
}

/** A page of Ogg, in which packets end: their content, or how long they are. */
export function page(
  flags: number,
  serial: number,
  granule: number,
  ...packets: (number | Uint8Array)[]
) {
  const contents = packets.map((each) =>
    typeof each === "number" ? new Uint8Array(each) : each,
  );
  const laces = contents.flatMap(({ length }) => [
    ...Array(Math.floor(length / 255)).fill(255),
    length % 255,
  ]);
  return concatenated(
    text("OggS"),
    [0, flags],
    big(granule, 8).reverse(),
    big(serial).reverse(),
    new Uint8Array(8),
    [laces.length],
    laces,
    ...contents,
  );
}

/** An Opus file of packets of 10 ms, the ends of whose pages are stated in packets. */
export function opus(preSkip: number, ...ends: number[]) {
  const head = concatenated(
    text("OpusHead"),
    [1, 1],
    big(preSkip, 2).reverse(),
    big(48_000).reverse(),
    [0, 0, 0],
  );
  const pages = ends.map((end) => page(0, 1, 480 * end, new Uint8Array(9)));
  const tags = concatenated(text("OpusTags"), new Uint8Array(8));
  return concatenated(page(2, 1, 0, head), page(0, 1, 0, tags), ...pages);
}

/** An element of Matroska, with a size of `width` bytes; of unknown size without any. */
export function element(id: number, content: Uint8Array | number[] | null, width = 4) {
  const idBytes = big(id, id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1);
  if (content === null) return concatenated(idBytes, [0xff]);
  const size = big(content.length, width);
  size[0] |= 0x80 >> (width - 1);
  return concatenated(idBytes, size, content);
}

/** A frame of MP3, MPEG 1 layer III, 128 kbit/s. */
export function mp3(options: { rate?: number; isMono?: boolean; note?: string } = {}) {
  const { rate = 44_100, isMono = false, note = "" } = options;
  const index = [44_100, 48_000, 32_000].indexOf(rate);
  const frame = new Uint8Array(Math.floor((144 * 128_000) / rate));
  frame.set([0xff, 0xfb, 0x90 | (index << 2), isMono ? 0xc0 : 0]);
  frame.set(text(note), 4 + (isMono ? 17 : 32));
  return frame;
}

export function repeat(piece: Uint8Array, times: number): Uint8Array {
  return concatenated(...Array(times).fill(piece));
}
