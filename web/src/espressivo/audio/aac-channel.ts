/**
 * The spectrum of one channel of an AAC frame, and how it is coded.
 *
 * Source: ISO/IEC 14496-3, sections 4.4.2.7 (syntax) and 4.6.1 to 4.6.9 (tools).
 */

import type { Bits } from "./aac-config";
import TABLES from "./aac-tables.json";

export const SHORT = 2; // sequence of eight short windows
const LENGTH = 1024;
const SHORT_LENGTH = 128;
// Codebooks: the last of the spectrum's has escapes; the others stand for what is not coded.
const [ESCAPES, NOISE, OPPOSITE, ALIKE] = [11, 13, 14, 15];
const FOUR = 4; // up to this codebook, four values a codeword; two from there on
const UNSIGNED = [3, 4, 7, 8, 9, 10, 11];
const BASES = [0, 3, 3, 3, 3, 9, 9, 8, 8, 13, 13, 17]; // values of each number, by codebook
const SCALES = TABLES.codebooks.length - 1; // codebook of scale factors
const MIDDLE = 60; // among its symbols: no change
const LONG_TNS = [31, 31, 34, 40, 42, 51, 46, 46, 42, 42, 42, 39]; // most bands, by rate
const SHORT_TNS = [9, 9, 10, 14, 14, 14, 14, 14, 14, 14, 14, 14];

/** Windows of a frame, which both channels of a pair may share. */
export interface Windows {
  readonly sequence: number;
  /** Shape of the slope: 0 sine, 1 Kaiser-Bessel. */
  readonly shape: number;
  readonly nBands: number;
  /** Number of windows of each group, which share scale factors. */
  readonly groups: readonly number[];
  /** Where bands begin in a window, and where the last ends. */
  readonly offsets: readonly number[];
  /** Most bands that are shaped in time. */
  readonly nShaped: number;
}

/** A filter over bands that shapes noise in time. */
interface Filter {
  readonly window: number;
  readonly from: number;
  readonly to: number;
  readonly isDown: boolean;
  readonly reflections: readonly number[];
}

/** Source of noise, the same as FFmpeg's. */
export interface Noise {
  state: number;
}

export interface Channel {
  readonly windows: Windows;
  /** Codebook and scale of each band, group after group. */
  readonly books: Uint8Array;
  readonly scales: Float32Array;
  readonly filters: readonly Filter[];
  /** Coefficients, window after window. */
  readonly spectrum: Float32Array;
}

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

function spectrumOf(
  levels: Int32Array,
  windows: Windows,
  books: Uint8Array,
  scales: Float32Array,
  noise: Noise,
): Float32Array {
  const spectrum = new Float32Array(LENGTH);
  eachBand(windows, (from, to, i) => {
    if (books[i] === NOISE) fillWithNoise(spectrum.subarray(from, to), scales[i], noise);
    else if (books[i] < NOISE) {
      for (let at = from; at < to; at++) {
        const level = levels[at];
        spectrum[at] = Math.cbrt(level) * Math.abs(level) * scales[i];
      }
    }
  });
  return spectrum;
}

function fillWithNoise(band: Float32Array, scale: number, noise: Noise): void {
  let energy = 0;
  for (let i = 0; i < band.length; i++) {
    noise.state = (Math.imul(noise.state, 1_664_525) + 1_013_904_223) | 0;
    band[i] = noise.state;
    energy += band[i] ** 2;
  }
  const factor = scale / Math.sqrt(energy);
  for (let i = 0; i < band.length; i++) band[i] *= factor;
}

/** Call for each band of each window: its range in the spectrum, and its number. */
export function eachBand(
  { groups, nBands, offsets }: Windows,
  call: (from: number, to: number, i: number) => void,
): void {
  let first = 0;
  for (const [g, length] of groups.entries()) {
    for (let band = 0; band < nBands; band++) {
      for (let window = first; window < first + length; window++) {
        const at = window * SHORT_LENGTH;
        call(at + offsets[band], at + offsets[band + 1], g * nBands + band);
      }
    }
    first += length;
  }
}

/** Shape a channel's spectrum in time, in place (section 4.6.9). */
export function shapeInTime({ filters, spectrum }: Channel): void {
  for (const { window, from, to, isDown, reflections } of filters) {
    const weights = [1];
    for (const [i, reflection] of reflections.entries()) {
      const before = weights.slice();
      for (let j = 1; j <= i; j++) weights[j] = before[j] + reflection * before[i + 1 - j];
      weights.push(reflection);
    }
    const step = isDown ? -1 : 1;
    const start = window * SHORT_LENGTH + (isDown ? to - 1 : from);
    for (let n = 0; n < to - from; n++) {
      const at = start + step * n;
      let sum = spectrum[at];
      const order = Math.min(n, reflections.length);
      for (let j = 1; j <= order; j++) sum -= weights[j] * spectrum[at - step * j];
      spectrum[at] = sum;
    }
  }
}

/**
 * Restore the two channels of a pair, in place (sections 4.6.8.1 and 4.6.8.2).
 *
 * @param isJoined Whether a band holds the sum and the difference.
 */
export function joinStereo(left: Channel, right: Channel, isJoined: Uint8Array): void {
  const [a, b] = [left.spectrum, right.spectrum];
  eachBand(left.windows, (from, to, i) => {
    const book = right.books[i];
    if (book === OPPOSITE || book === ALIKE) {
      const isTurned = (book === OPPOSITE) !== (isJoined[i] === 1);
      const factor = isTurned ? -right.scales[i] : right.scales[i];
      for (let at = from; at < to; at++) b[at] = a[at] * factor;
    } else if (isJoined[i] && book < NOISE && left.books[i] < NOISE) {
      for (let at = from; at < to; at++) [a[at], b[at]] = [a[at] + b[at], a[at] - b[at]];
    }
  });
}
