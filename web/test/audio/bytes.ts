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

/** A page of Ogg; a packet of n bytes ends in it for each n. */
export function page(flags: number, serial: number, granule: number, ...sizes: number[]) {
  const laces = sizes.flatMap((n) => [...Array(Math.floor(n / 255)).fill(255), n % 255]);
  const data = new Uint8Array(sizes.reduce((sum, n) => sum + n, 0));
  return concatenated(
    text("OggS"),
    [0, flags],
    big(granule, 8).reverse(),
    big(serial).reverse(),
    new Uint8Array(8),
    [laces.length],
    laces,
    data,
  );
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
