/** Forward reading of a file's bytes, some megabytes at a time. */

const CHUNK = 2 ** 22;

export class Bytes {
  private held = new Uint8Array(0);
  private from = 0;

  constructor(private readonly file: Blob) {}

  get size(): number {
    return this.file.size;
  }

  /** Return `n` bytes from `at`; fewer at the end of the file. */
  async at(at: number, n: number): Promise<Uint8Array> {
    if (at < this.from || at + n > this.from + this.held.length) {
      const slice = this.file.slice(at, at + Math.max(n, CHUNK));
      this.held = new Uint8Array(await slice.arrayBuffer());
      this.from = at;
    }
    return this.held.subarray(at - this.from, at - this.from + n);
  }

  /** Return the position of the next `pattern` at or after `at`; -1 without any. */
  async find(pattern: string, at: number): Promise<number> {
    const codes = Array.from(pattern, (letter) => letter.charCodeAt(0));
    for (let from = at; from + codes.length <= this.size; ) {
      const piece = await this.at(from, Math.min(CHUNK, this.size - from));
      const last = piece.length - codes.length;
      for (let i = piece.indexOf(codes[0]); i >= 0 && i <= last; ) {
        if (codes.every((code, j) => piece[i + j] === code)) return from + i;
        i = piece.indexOf(codes[0], i + 1);
      }
      from += last + 1;
    }
    return -1;
  }
}

/** Return the text of bytes, one character per byte. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
