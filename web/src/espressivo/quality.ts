/** Quality of the sound, as far as it limits what can be heard in the voice. */

import { transform } from "./audio/correlation";
import {
  BOTTOM_DB,
  bandwidthHz,
  clippedShare,
  decibelsOf,
  LEVELS_A_DB,
  meanPower,
  N_LEVELS,
  N_STEPS,
  STEPS_A_DB,
  snrDb,
  sum,
} from "./impairments";
import { FRAME } from "./speech";

/** Properties of a recording's speech that limit the estimates; null without speech. */
export interface Quality {
  /** Highest frequency with speech; 8000 if nothing cuts it off. */
  readonly bandwidth_hz: number | null;
  /** Level of the speech (root mean square), in dB re full scale. */
  readonly level_db: number | null;
  /** Estimated share of the samples of the speech that are cut off, 0 to 1. */
  readonly clipped: number | null;
  /**
   * Estimated ratio of speech to noise, in dB; a lower bound above some 20 dB where
   * there are few pauses.
   */
  readonly snr_db: number | null;
}

/** The quality of a recording without speech. */
export const UNKNOWN: Quality = {
  bandwidth_hz: null,
  level_db: null,
  clipped: null,
  snr_db: null,
};

const SPEECH = 0.5; // probability from which a frame counts as speech
const PAUSE = 0.2; // probability below which a frame can be a pause
const AROUND = 4; // frames before and after a pause that must be quiet, too
const LEAST = 8; // frames of speech below which nothing is measured
const [FIRST, EVERY] = [128, 8]; // frames of speech with a spectrum: 4 s, then some
const WINDOW = Float64Array.from(
  { length: FRAME },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (FRAME - 1)),
);
const [NARROW_HZ, QUIET_DB, CLIPPED, NOISY_DB] = [5_900, -68, 0.05, 15];

/** Return sentences on what makes the model give another emotion often. */
export function warningsOf(quality: Quality | null): string[] {
  const { bandwidth_hz, level_db, clipped, snr_db } = quality ?? UNKNOWN;
  const found: string[] = [];
  if (bandwidth_hz !== null && bandwidth_hz < NARROW_HZ)
    found.push(
      "narrow band: the recording has nothing of the voice above " +
        `${bandwidth_hz} Hz; happiness may be overstated`,
    );
  if (level_db !== null && level_db < QUIET_DB)
    found.push(
      `very quiet: the speech is at ${Math.round(level_db)} dB re full scale, ` +
        "where 16 bits leave it a few steps; anger may be overstated",
    );
  if (clipped !== null && clipped >= CLIPPED)
    found.push(
      `clipped: about ${Math.round(100 * clipped)} % of the speech is cut off at the ` +
        "peaks; anger may be overstated",
    );
  if (snr_db !== null && snr_db < NOISY_DB)
    found.push(
      `noisy: the speech is about ${Math.round(snr_db)} dB above the noise; ` +
        "anger may be overstated",
    );
  return found;
}

/**
 * Quality of a signal that arrives in blocks of any size.
 *
 * The same as `espressivo/speech/quality.py`.
 */
export class QualityMeter {
  private readonly speech = new Float64Array(N_LEVELS);
  private readonly others = new Float64Array(N_LEVELS);
  private readonly pauses = new Float64Array(N_LEVELS);
  private readonly magnitudes = [new Float64Array(N_STEPS), new Float64Array(N_STEPS)];
  private readonly spectrum = new Float64Array(FRAME / 2 + 1);
  // Levels of the newest frames, whose surroundings are incomplete.
  private recent = Array.from({ length: AROUND }, () => 0);
  private nQuiet = AROUND; // frames since the last that is speech-like
  private nSpeech = 0;
  private tail: Float32Array = new Float32Array(0);

  /**
   * Add a block.
   *
   * @param probabilities Speech probabilities of the frames that the block completes.
   */
  push(block: Float32Array, probabilities: Float32Array): void {
    const signal = new Float32Array(this.tail.length + block.length);
    signal.set(this.tail);
    signal.set(block, this.tail.length);
    probabilities.forEach((probability, i) => {
      this.add(signal.subarray(i * FRAME, (i + 1) * FRAME), probability);
    });
    this.tail = signal.slice(probabilities.length * FRAME);
  }

  /** Return the quality of the speech so far. */
  measure(): Quality {
    if (this.nSpeech < LEAST) return UNKNOWN;
    return {
      bandwidth_hz: bandwidthHz(this.spectrum, this.nSpeech),
      level_db: decibelsOf(meanPower(this.speech)),
      clipped: Math.max(...this.magnitudes.map(clippedShare)),
      snr_db: snrDb(this.speech, this.others, this.pauses),
    };
  }

  private add(frame: Float32Array, probability: number): void {
    const mean = Math.fround(frame.reduce((a, b) => a + b, 0) / FRAME);
    const centred = frame.map((sample) => sample - mean); // an offset is not sound
    const power = centred.reduce((a, b) => a + b * b, 0) / FRAME;
    const level = bin(decibelsOf(power + 1e-13), LEVELS_A_DB, N_LEVELS);
    const isSpeech = probability >= SPEECH;
    (isSpeech ? this.speech : this.others)[level] += 1;
    this.nQuiet = probability < PAUSE ? this.nQuiet + 1 : 0;
    this.recent.push(level);
    const middle = this.recent.shift() as number;
    if (this.nQuiet > 2 * AROUND) this.pauses[middle] += 1;
    if (!isSpeech) return;
    // An offset that outweighs the sound would look like a heap of equal samples.
    if (this.nSpeech < FIRST || this.nSpeech % EVERY === 0)
      this.look(mean ** 2 > power ? centred : frame);
    this.nSpeech += 1;
  }

  /** Add the magnitudes of a frame's samples and its spectrum. */
  private look(frame: Float32Array): void {
    for (const sample of frame) {
      if (sample === 0) continue;
      const step = bin(20 * Math.log10(Math.abs(sample)), STEPS_A_DB, N_STEPS);
      this.magnitudes[Number(sample < 0)][step] += 1;
    }
    const re = WINDOW.map((weight, i) => weight * frame[i]);
    const im = new Float64Array(FRAME);
    transform(re, im);
    // Each frame counts alike, so that faint consonants show how far the band reaches.
    const powers = this.spectrum.map((_, k) => re[k] ** 2 + im[k] ** 2);
    const total = sum(powers.subarray(3)) || 1;
    powers.forEach((power, k) => {
      this.spectrum[k] += power / total;
    });
  }
}

function bin(decibels: number, perDb: number, n: number): number {
  return Math.min(Math.max(Math.trunc((decibels - BOTTOM_DB) * perDb), 0), n - 1);
}
