/**
 * How one channel of an AAC frame is coded.
 *
 * Source: ISO/IEC 14496-3, sections 4.4.2.7 and 4.6.1 to 4.6.3; tables of 4.A.
 */

import type { Bits } from "./config";
import {
  ALIKE,
  type Channel,
  ESCAPES,
  eachBand,
  type Filter,
  LENGTH,
  NOISE,
  type Noise,
  OPPOSITE,
  SHORT,
  spectrumOf,
  type Windows,
} from "./spectrum";
import TABLES from "./tables.json";

const FOUR = 4; // up to this codebook, four values a codeword; two from there on
const UNSIGNED = [3, 4, 7, 8, 9, 10, 11];
const BASES = [0, 3, 3, 3, 3, 9, 9, 8, 8, 13, 13, 17]; // values of each number, by codebook
const SCALES = TABLES.codebooks.length - 1; // codebook of scale factors
const MIDDLE = 60; // among its symbols: no change
const LONG_TNS = [31, 31, 34, 40, 42, 51, 46, 46, 42, 42, 42, 39]; // most bands, by rate
const SHORT_TNS = [9, 9, 10, 14, 14, 14, 14, 14, 14, 14, 14, 14];

const MOST_ORDER = 12; // of filters, in Low Complexity

interface Codebook {
  readonly lengths: readonly number[];
  readonly symbols: Uint16Array;
}

const CODEBOOKS: readonly Codebook[] = TABLES.codebooks.map(({ lengths, symbols }) => ({
  lengths: lengths.split(" ").map(Number),
  symbols: Uint16Array.from(symbols.match(/../g) ?? [], (each) =>
    Number.parseInt(each, 36),
  ),
}));
const OFFSETS = { long: starts(TABLES.widths.long), short: starts(TABLES.widths.short) };

function starts(widths: readonly string[]): number[][] {
  return widths.map((each) => {
    const all = [0];
    for (const width of each.split(" ")) all.push(all[all.length - 1] + Number(width));
    return all;
  });
}

export function readWindows(bits: Bits, rateIndex: number): Windows {
  bits.skip(1);
  const sequence = bits.read(2);
  const shape = bits.read(1);
  const isShort = sequence === SHORT;
  const nBands = bits.read(isShort ? 4 : 6);
  const groups = [1];
  if (isShort) {
    for (let i = 0; i < 7; i++) {
      if (bits.flag()) groups[groups.length - 1] += 1;
      else groups.push(1);
    }
  } else if (bits.flag()) throw new Error("AAC with prediction is unknown");
  const offsets = OFFSETS[isShort ? "short" : "long"][rateIndex];
  if (nBands >= offsets.length) throw new Error("an AAC packet is damaged");
  const nShaped = (isShort ? SHORT_TNS : LONG_TNS)[rateIndex];
  return { sequence, shape, nBands, groups, offsets, nShaped };
}

/**
 * Read a channel.
 *
 * @param shared Windows of the pair, or null.
 */
export function readChannel(
  bits: Bits,
  shared: Windows | null,
  rateIndex: number,
  noise: Noise,
): Channel {
  const gain = bits.read(8);
  const windows = shared ?? readWindows(bits, rateIndex);
  const books = readBooks(bits, windows);
  const scales = readScales(bits, books, gain);
  const pulses = bits.flag() ? readPulses(bits, windows) : [];
  const filters = bits.flag() ? readFilters(bits, windows) : [];
  if (bits.flag()) throw new Error("AAC with gain control is unknown");
  const levels = readLevels(bits, windows, books);
  for (const [at, amount] of pulses) levels[at] += levels[at] > 0 ? amount : -amount;
  if (bits.left < 0) throw new Error("an AAC packet is cut");
  const spectrum = spectrumOf(levels, windows, books, scales, noise);
  return { windows, books, scales, filters, spectrum };
}

/** Read which codebook each band has. */
function readBooks(bits: Bits, { sequence, nBands, groups }: Windows): Uint8Array {
  const books = new Uint8Array(groups.length * nBands);
  const width = sequence === SHORT ? 3 : 5;
  const all = 2 ** width - 1;
  for (let g = 0; g < groups.length; g++) {
    for (let band = 0; band < nBands; ) {
      const book = bits.read(4);
      let length = 0;
      let more = all;
      while (more === all && bits.left > 0) {
        more = bits.read(width);
        length += more;
      }
      if (book === 12 || band + length > nBands || bits.left <= 0) {
        throw new Error("an AAC packet is damaged");
      }
      books.fill(book, g * nBands + band, g * nBands + band + length);
      band += length;
    }
  }
  return books;
}

function readScales(bits: Bits, books: Uint8Array, gain: number): Float32Array {
  let [level, noise, place, isFirstNoise] = [gain, gain - 90, 0, true];
  return Float32Array.from(books, (book) => {
    if (book === 0) return 0;
    if (book === OPPOSITE || book === ALIKE) {
      place += readSymbol(bits, SCALES) - MIDDLE;
      return 2 ** (-Math.min(155, Math.max(-155, place)) / 4);
    }
    if (book === NOISE) {
      noise += isFirstNoise ? bits.read(9) - 256 : readSymbol(bits, SCALES) - MIDDLE;
      isFirstNoise = false;
      return 2 ** (Math.min(155, Math.max(-100, noise)) / 4);
    }
    level += readSymbol(bits, SCALES) - MIDDLE;
    if (level < 0 || level > 255) throw new Error("an AAC packet is damaged");
    return 2 ** ((level - 100) / 4);
  });
}

function readPulses(bits: Bits, { sequence, offsets }: Windows): [number, number][] {
  const n = bits.read(2) + 1;
  let at = offsets[bits.read(6)];
  const pulses = Array.from({ length: n }, (): [number, number] => {
    at += bits.read(5);
    return [at, bits.read(4)];
  });
  if (sequence === SHORT || !(at < LENGTH)) throw new Error("an AAC packet is damaged");
  return pulses;
}

function readFilters(bits: Bits, windows: Windows): Filter[] {
  const { sequence, nBands, offsets, nShaped } = windows;
  const isShort = sequence === SHORT;
  const edge = (band: number) => offsets[Math.min(band, nShaped, nBands)];
  const filters: Filter[] = [];
  for (let window = 0; window < (isShort ? 8 : 1); window++) {
    const n = bits.read(isShort ? 1 : 2);
    const width = n ? 3 + bits.read(1) : 0;
    for (let i = 0, top = offsets.length - 1; i < n; i++) {
      const bottom = Math.max(0, top - bits.read(isShort ? 4 : 6));
      const order = bits.read(isShort ? 3 : 5);
      if (order > MOST_ORDER) throw new Error("an AAC packet is damaged");
      if (order) {
        const isDown = bits.flag();
        const coded = width - bits.read(1);
        const reflections = Array.from({ length: order }, () => {
          const value = bits.read(coded);
          const signed = value >= 2 ** (coded - 1) ? value - 2 ** coded : value;
          const half = 2 ** (width - 1) + (signed < 0 ? 0.5 : -0.5);
          return Math.sin((signed * Math.PI) / 2 / half);
        });
        filters.push({ window, from: edge(bottom), to: edge(top), isDown, reflections });
      }
      top = bottom;
    }
  }
  return filters;
}

/** Read the quantized spectrum, window after window. */
function readLevels(bits: Bits, windows: Windows, books: Uint8Array): Int32Array {
  const levels = new Int32Array(LENGTH);
  eachBand(windows, (from, to, i) => {
    const book = books[i];
    if (book === 0 || book > ESCAPES) return;
    for (let at = from; at < to; ) at = readValues(bits, book, levels, at);
  });
  return levels;
}

function readValues(bits: Bits, book: number, levels: Int32Array, at: number): number {
  const n = book <= FOUR ? 4 : 2;
  const base = BASES[book];
  let symbol = readSymbol(bits, book - 1);
  for (let i = n - 1; i >= 0; i--) {
    levels[at + i] = symbol % base;
    symbol = Math.floor(symbol / base);
  }
  if (!UNSIGNED.includes(book)) {
    for (let i = 0; i < n; i++) levels[at + i] -= (base - 1) / 2;
    return at + n;
  }
  const signs = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) if (levels[at + i]) signs[i] = bits.read(1);
  for (let i = 0; i < n; i++) {
    if (book === ESCAPES && levels[at + i] === 16) levels[at + i] = readEscape(bits);
    if (signs[i]) levels[at + i] *= -1;
  }
  return at + n;
}

function readEscape(bits: Bits): number {
  let width = 4;
  while (bits.flag()) {
    width += 1;
    if (width > 13) throw new Error("an AAC packet is damaged");
  }
  return 2 ** width + bits.read(width);
}

/** Read one codeword; codewords of a length are consecutive numbers. */
function readSymbol(bits: Bits, book: number): number {
  const { lengths, symbols } = CODEBOOKS[book];
  let [code, first, before] = [0, 0, 0];
  for (const n of lengths) {
    code = 2 * code + bits.read(1);
    if (code - first < n) return symbols[before + code - first];
    before += n;
    first = 2 * (first + n);
  }
  throw new Error("an AAC packet is damaged");
}
