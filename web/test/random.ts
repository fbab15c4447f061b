/** Chance that is the same in every run, and in make-goldens.py. */

export class Random {
  /** @param seed Whole, from 0. */
  constructor(private seed: number) {}

  /** Return a number from 0 to below 1 (the generator of Numerical Recipes). */
  next(): number {
    this.seed = (Math.imul(1_664_525, this.seed) + 1_013_904_223) >>> 0;
    return this.seed / 2 ** 32;
  }

  /** Return a whole number, both ends included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** Return `n` whole numbers, both ends included. */
  integers(n: number, from: number, to: number): number[] {
    return Array.from({ length: n }, () => this.integer(from, to));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)];
  }
}

/** Return white noise in -1..1. */
export function noise(n: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => 2 * random.next() - 1);
}

/** Cut at these places, which may be equal and in any order. */
export function cut(signal: Float32Array, places: readonly number[]): Float32Array[] {
  const ends = [...places, signal.length].sort((a, b) => a - b);
  return ends.map((end, i) => signal.slice(i ? ends[i - 1] : 0, end));
}

/** Cut into pieces of one length, but for the last. */
export function cutEvery(signal: Float32Array, n: number): Float32Array[] {
  const pieces = Math.ceil(signal.length / n);
  return Array.from({ length: pieces }, (_, i) => signal.slice(i * n, (i + 1) * n));
}

export function joined(pieces: readonly Float32Array[]): Float32Array {
  return Float32Array.from(pieces.flatMap((piece) => Array.from(piece)));
}
