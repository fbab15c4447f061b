/** Impairments of speech from sums over its frames, as `espressivo/speech/impairments.py`. */

import { FRAME } from "./speech";
import { SAMPLE_RATE } from "./types";

/** Lowest level and magnitude, in dB re full scale. */
export const BOTTOM_DB = -120;
/** Histogram of frames' levels, up to 6 dB. */
export const N_LEVELS = 252;
export const LEVELS_A_DB = 2;
/** Histogram of samples' magnitudes, up to 6 dB. */
export const N_STEPS = 504;
export const STEPS_A_DB = 4;

const LEAST_HEARD = 30; // frames, silenced ones not counted
const LEAST_PAUSES = 30; // frames from which pauses are preferred to faint speech
const GATED_DB = 60; // pauses this far below the speech are silenced, not recorded

const HZ_A_BIN = SAMPLE_RATE / FRAME;
const EDGES = [80, 218]; // bins (2.5 to 6.8 kHz): above, every resampler rolls off
const CLIFF_DB = 17; // drop within 220 Hz that no voice has, if it has all kinds of sounds
const CLIFF_OF_A_WORD_DB = 24; // "rain" alone has no high sounds
const A_WORD = 94; // frames (3 s)
const FULL_HZ = SAMPLE_RATE / 2;

const HEAP = 2; // density of magnitudes at a peak, relative to just below it
const FAINT_HEAP = 1.3;
const FLAT_DB = 7.5; // a crest factor so low makes a faint heap enough
const LEAST_STEPS = 12; // of 24 in the upper 6 dB: fewer are quantization, unless most is cut

/**
 * Return the frequency below the steepest cliff, if it is steeper than any voice.
 *
 * @param spectrum Sum of spectra.
 * @param nSpeech Number of frames of speech.
 */
export function bandwidthHz(spectrum: Float64Array, nSpeech: number): number {
  const floor = 1e-12 * Math.max(...spectrum) + 1e-30;
  const decibels = spectrum.map((power) => decibelsOf(power + floor));
  let [edge, steepest] = [0, Number.NEGATIVE_INFINITY];
  for (let k = EDGES[0]; k < EDGES[1]; k++) {
    const inner = mean(decibels.subarray(k - 16, k - 3));
    const drop = inner - mean(decibels.subarray(k + 4, k + 20));
    // Nothing above may come near again: a dip is no edge.
    const loudest = mean(
      decibels
        .slice(k + 4, 236)
        .sort()
        .slice(-12),
    );
    if (inner - loudest >= drop - 8 && drop > steepest) [edge, steepest] = [k, drop];
  }
  if (steepest < (nSpeech > A_WORD ? CLIFF_DB : CLIFF_OF_A_WORD_DB)) return FULL_HZ;
  const inner = mean(decibels.subarray(edge - 32, edge - 10));
  let last = edge + 3;
  while (decibels[last] <= inner - 6) last -= 1;
  return 100 * even((last * HZ_A_BIN) / 100);
}

/**
 * Return the share of samples in a heap of equal magnitudes, if there is one.
 *
 * @param counts Number of samples of one sign at each magnitude.
 */
export function clippedShare(counts: Float64Array): number {
  const n = sum(counts);
  if (n === 0) return 0;
  const top = counts.findLastIndex((count) => count > 0);
  const below = sum(counts.subarray(Math.max(top - 8, 0), top)) / 8; // 2 dB
  const isExact = counts[top] >= 0.001 * n && counts[top] > 2.5 * below + 3;
  return Math.max(isExact ? (counts[top] - below) / n : 0, heapShare(counts, n));
}

function heapShare(counts: Float64Array, n: number): number {
  const sums = runningSums(counts);
  const peak = sums.findIndex((each) => each >= 0.999 * n) - 1;
  let [best, share] = [0, 0];
  for (let at = Math.max(peak - 32, 16); at < Math.min(peak + 3, N_STEPS - 5); at++) {
    const heap = sums[at + 5] - sums[at - 4]; // 2.25 dB
    const below = ((sums[at - 4] - sums[at - 16]) * 9) / 12; // 3 dB
    const ratio = heap >= 0.005 * n ? heap / (below + 1) : 0;
    if (ratio > best) [best, share] = [ratio, heap / n];
  }
  if (best === 0) return 0;
  const upper = counts.subarray(Math.max(peak - 24, 0), peak);
  if (upper.filter((count) => count > 0).length < LEAST_STEPS && share < 0.5) return 0;
  const stepDb = (step: number) => BOTTOM_DB + (step + 0.5) / STEPS_A_DB;
  const power = sum(counts.map((count, step) => count * 10 ** (stepDb(step) / 10))) / n;
  const isFlat = stepDb(peak) - decibelsOf(power) < FLAT_DB && best >= FAINT_HEAP;
  return best >= HEAP || isFlat ? share * (1 - 1 / best) : 0;
}

/**
 * Return the speech's mean power, less the noise, relative to the noise's, in dB;
 * null if less than a second is heard.
 *
 * @param speech Number of frames of speech at each level.
 * @param others Number of other frames at each level.
 * @param pauses Number of those others that are pauses.
 */
export function snrDb(
  speech: Float64Array,
  others: Float64Array,
  pauses: Float64Array,
): number | null {
  const power = meanPower(speech);
  const silent = Math.max(
    1,
    Math.trunc((decibelsOf(power) - GATED_DB - BOTTOM_DB) * LEVELS_A_DB),
  );
  const still = pauses.slice().fill(0, 0, silent);
  const heard = others.slice().fill(0, 0, silent);
  speech.forEach((count, level) => {
    heard[level] += count;
  });
  if (sum(heard) < LEAST_HEARD) return null;
  // The middle of three: the mean counts sounds that are no noise, the median ignores
  // intermittent noise, and speech has its own faint frames.
  const noise =
    sum(still) < LEAST_PAUSES
      ? percentile(heard, 0.05)
      : [percentile(speech, 0.05), percentile(still, 0.5), meanPower(still)].sort(
          (a, b) => a - b,
        )[1];
  return decibelsOf(Math.max(power - noise, power / 10) / noise);
}

/** Return the mean power of frames from their number at each level. */
export function meanPower(counts: Float64Array): number {
  return sum(counts.map((count, level) => count * powerOf(level))) / sum(counts);
}

/** Return a ratio of powers in dB. */
export function decibelsOf(ratio: number): number {
  return 10 * Math.log10(ratio);
}

export function sum(values: Float64Array): number {
  return values.reduce((a, b) => a + b, 0);
}

function mean(values: Float64Array): number {
  return sum(values) / values.length;
}

function runningSums(counts: Float64Array): Float64Array {
  const sums = new Float64Array(counts.length + 1);
  counts.forEach((count, i) => {
    sums[i + 1] = sums[i] + count;
  });
  return sums;
}

function percentile(counts: Float64Array, share: number): number {
  const wanted = share * sum(counts);
  return powerOf(runningSums(counts).findIndex((each) => each > wanted) - 1);
}

/** Return the power in the middle of a level. */
function powerOf(level: number): number {
  return 10 ** ((BOTTOM_DB + (level + 0.5) / LEVELS_A_DB) / 10);
}

/** Round to a whole number; ties go to the even one, as in Python. */
function even(value: number): number {
  const floor = Math.floor(value);
  if (value - floor === 0.5) return floor + (floor % 2);
  return Math.round(value);
}
