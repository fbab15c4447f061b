/** Loudness of a recording over time, for pictures of it; as `speech/loudness.py`. */

import { SAMPLE_RATE } from "./types";

/** Samples to a level (0.1 s). */
const STEP = SAMPLE_RATE / 10;
/** Lowest level, also of digital silence; 16 bits reach -96 dB. */
const FLOOR_DB = -100;
/** Levels of 24 hours. */
const MOST_LEVELS = 864_000;

/** Levels of a signal that arrives in blocks of any size. */
export class LoudnessMeter {
  private readonly levels: number[] = [];
  private energy = 0; // of the step that is not complete
  private n = 0; // its samples

  /** @param most Levels beyond which none are kept, so that memory stays limited. */
  constructor(private readonly most = MOST_LEVELS) {}

  /** Add the next samples. */
  push(block: Float32Array): void {
    if (this.levels.length > this.most) return;
    for (const sample of block) {
      this.energy += sample * sample;
      this.n += 1;
      if (this.n === STEP) {
        this.levels.push(levelOf(this.energy / STEP));
        this.energy = this.n = 0;
      }
    }
  }

  /**
   * Return the level (root mean square) of each 0.1 s so far, in dB re full scale; the
   * last step may be shorter. Null if there are too many.
   */
  measure(): Float32Array | null {
    const { levels, energy, n, most } = this;
    if (levels.length > most) return null;
    return Float32Array.from(n ? [...levels, levelOf(energy / n)] : levels);
  }
}

function levelOf(power: number): number {
  return Math.max(10 * Math.log10(power), FLOOR_DB);
}
