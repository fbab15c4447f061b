/**
 * Time stamps of decoded samples: where a hole becomes silence, and what overlaps.
 *
 * As in Python (`audio/clock.py`): holes are filled, overlaps are skipped, and a jump
 * backwards begins another part, all of which is kept.
 */

/** Largest difference that is no hole: stamps in milliseconds jitter, decoders delay. */
export const TOLERANCE_S = 0.1;

const FIRST_S = 0.001; // the same, before the first piece
// A longer hole must lie within the declared duration, which writers that were
// interrupted left too short.
const PLAUSIBLE_S = 600;
const ROUNDING_S = 1; // declared durations are rounded
// Damaged stamps claim years, or a hole at each piece. All holes together are at most a
// day, and half an hour or so many times as long as the sound.
const LONGEST_HOLES_S = 24 * 3600;
const SHORT_HOLES_S = 1800;
const TIMES_LONGER = 100;
// Opus of calls has a hole for each 0.4 s of silence, but not more.
const CORRECTIONS = 1000;
const CORRECTIONS_A_SECOND = 5;

/** What comes before a piece, in seconds. */
export interface Placement {
  /** Hole before the piece. */
  readonly silence_s: number;
  /** Beginning of the piece that lies before the end of the last one. */
  readonly skip_s: number;
}

const NEXT: Placement = { silence_s: 0, skip_s: 0 };

export class Clock {
  /** Length of what was placed so far, in seconds. */
  position_s = 0;
  private start_s: number | null = null;
  private duration_s: number | null = null;
  private shift_s = 0;
  private stamp_s: number | null = null; // expected stamp of the next piece
  private holes_s = 0;
  private nCorrections = 0; // holes and overlaps

  /**
   * Begin a file, which follows the one before.
   *
   * @param start_s Time stamp of its beginning; null for that of the first piece.
   * @param duration_s Declared duration, within which holes are believed, or null.
   */
  begin(start_s: number | null, duration_s: number | null): void {
    this.start_s = start_s;
    this.duration_s = duration_s;
    this.shift_s = this.position_s;
    this.stamp_s = null;
  }

  /** Return what comes before the next piece, and advance. */
  place(stamp_s: number | null, length_s: number): Placement {
    const placement = stamp_s === null ? NEXT : this.compared(stamp_s);
    const skip_s = Math.min(placement.skip_s, length_s);
    this.position_s += placement.silence_s + length_s - skip_s;
    if (stamp_s !== null) this.stamp_s = stamp_s;
    if (this.stamp_s !== null) this.stamp_s += length_s;
    return placement;
  }

  private compared(stamp_s: number): Placement {
    // Pieces before this one had no stamps.
    this.start_s ??= stamp_s - (this.position_s - this.shift_s);
    const isFirst = this.stamp_s === null;
    if (this.stamp_s !== null && stamp_s < this.stamp_s - TOLERANCE_S) this.follow(stamp_s);
    const late_s = stamp_s - this.start_s + this.shift_s - this.position_s;
    // The beginning has no jitter: a tenth of a second there would move all.
    const tolerance_s = isFirst ? FIRST_S : TOLERANCE_S;
    if (Math.abs(late_s) <= tolerance_s) return NEXT;
    this.nCorrections += 1;
    const sound_s = this.position_s - this.holes_s;
    if (this.nCorrections > CORRECTIONS + CORRECTIONS_A_SECOND * sound_s) {
      this.follow(stamp_s);
      return NEXT;
    }
    if (late_s < 0) return { silence_s: 0, skip_s: -late_s };
    if (this.isHole(late_s, stamp_s - this.start_s)) {
      this.holes_s += late_s;
      return { silence_s: late_s, skip_s: 0 };
    }
    this.follow(stamp_s);
    return NEXT;
  }

  /** Let the next piece follow the last one, whatever its stamp says. */
  private follow(stamp_s: number): void {
    this.shift_s = this.position_s - (stamp_s - (this.start_s ?? stamp_s));
  }

  private isHole(late_s: number, end_s: number): boolean {
    const sound_s = this.position_s - this.holes_s;
    const longest_s = Math.max(SHORT_HOLES_S, TIMES_LONGER * sound_s);
    if (this.holes_s + late_s > Math.min(longest_s, LONGEST_HOLES_S)) return false;
    if (this.duration_s === null || late_s < PLAUSIBLE_S) return true;
    return end_s < this.duration_s + ROUNDING_S;
  }
}
