/**
 * The spectrum of one channel of an AAC frame: from quantized levels to coefficients.
 *
 * Source: ISO/IEC 14496-3, sections 4.6.1 (scales), 4.6.8 (stereo), 4.6.9 (shaping of noise
 * in time) and 4.6.13 (noise).
 */

export const LENGTH = 1024; // samples of a frame
export const SHORT = 2; // sequence of eight short windows
export const SHORT_LENGTH = 128;
// Codebooks: the last of the spectrum's has escapes; the others stand for what is not coded.
export const [ESCAPES, NOISE, OPPOSITE, ALIKE] = [11, 13, 14, 15];

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
export interface Filter {
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

export function spectrumOf(
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
