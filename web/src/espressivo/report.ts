/** The report of an analysis, and its JSON (`espressivo.report/2`) and CSV, as in Python. */

import type { Certainty } from "./card";
import type { Quality } from "./quality";
import { DECIMALS, roundTo, roundToOne, total } from "./rounding";
import { summarize } from "./summary";
import {
  type Dimension,
  type Dimensions,
  type Distribution,
  type Emotion,
  type Estimate,
  SAMPLE_RATE,
  type Segment,
  samplesIn,
} from "./types";
import { VERSION } from "./version";
import type { WindowStatistics } from "./window-statistics";

/** Name and version of the JSON that `Report.toDict` returns. */
export const SCHEMA = "espressivo.report/2";

export interface ModelName {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

/** What a recording was adapted to, and with what effect. */
export interface Adaptation {
  /** Names of the profiles of the speaker and of the setting; null without them. */
  readonly speaker: string | null;
  readonly setting: string | null;
  /** Whether the recording's own windows are a part of the history. */
  readonly recording: boolean;
  /** Recordings, windows and seconds of speech in the history. */
  readonly nRecordings: number;
  readonly nWindows: number;
  readonly speech_s: number;
  /** Weight of the history against the plain model, 0 to 1. */
  readonly weight: number;
  /**
   * Length of the expected offset of this voice in this setting; 1 is the standard
   * deviation of a window.
   */
  readonly offset: number;
  /** Standard deviation of the offset, given the history and without it. */
  readonly deviation: number;
  readonly priorDeviation: number;
  /**
   * Distance of the recording from the speaker's profile; 1 is typical of the same voice.
   * Null without a profile, or if it or the recording contains no speech.
   */
  readonly distance: number | null;
  /** Distance beyond which the voice is probably another one. */
  readonly distanceLimit: number;
  /** Warning if the history is probably of several speakers; or null. */
  readonly several: string | null;
  /** Estimates of the windows without adaptation. */
  readonly without: readonly Estimate[];
}

export interface ReportFields {
  readonly recording: string;
  readonly model: ModelName;
  /** Emotions, in the order of all probabilities. */
  readonly emotions: readonly Emotion[];
  /** Dimensions in the order of all estimates; empty if the model has none. */
  readonly dimensionNames: readonly Dimension[];
  /** Threshold of the model for uncertain estimates; null if it has none. */
  readonly certainty: Certainty | null;
  readonly duration_s: number;
  readonly segments: readonly Segment[];
  readonly estimates: readonly Estimate[];
  /** Number of the file's audio track that was decoded, from 1; null for arrays and streams. */
  readonly track: number | null;
  /** How the channels became one: "mono", "mixed", or the one that was chosen. */
  readonly channels: string;
  /** Holes in the file's time stamps, which were filled with silence. */
  readonly gaps: readonly Segment[];
  /** Properties of the sound that limit the estimates; null if unknown. */
  readonly quality: Quality | null;
  readonly warnings: readonly string[];
  /** What the estimates were adapted to; null: to nothing. */
  readonly adaptation: Adaptation | null;
  /** Statistics of the windows, for a profile; null without adaptation. */
  readonly statistics: WindowStatistics | null;
  /**
   * Level (root mean square) of each 0.1 s of the recording, in dB re full scale, at
   * least -100; null beyond 24 hours.
   */
  readonly loudness: Float32Array | null;
}

export interface Report extends ReportFields {}

/** Emotions of one recording: its distribution and its timeline. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the constructor takes over all
export class Report {
  constructor(fields: ReportFields) {
    Object.assign(this, fields);
  }

  /** Duration of the speech, in seconds. */
  get speech_s(): number {
    return this.segments.reduce((sum, each) => sum + samplesIn(each), 0) / SAMPLE_RATE;
  }

  /** Share of the recording that is speech, 0 to 1. */
  get speechShare(): number {
    return this.duration_s ? Math.min(1, this.speech_s / this.duration_s) : 0;
  }

  /** Mean of the windows' probabilities, weighted by duration; null without speech. */
  get probabilities(): Distribution | null {
    return this.namedMean(this.estimates);
  }

  /** The same mean without adaptation; null without speech or adaptation. */
  get probabilitiesWithout(): Distribution | null {
    return this.adaptation && this.namedMean(this.adaptation.without);
  }

  /**
   * Mean of the windows' dimensions, weighted by duration, 0 to 1; null without speech,
   * or if the model has none. Adaptation does not change it.
   */
  get dimensions(): Dimensions | null {
    const names = this.dimensionNames;
    if (names.length === 0) return null;
    const mean = this.mean(
      this.estimates.map(({ dimensions }) => Object.values(dimensions ?? {})),
    );
    return mean && Object.fromEntries(names.map((name, i) => [name, mean[i]]));
  }

  /** Probability that the adaptation moved between emotions, 0 to 1. */
  get change(): number {
    const now = this.probabilities;
    const before = this.probabilitiesWithout;
    if (!now || !before) return 0;
    return totalVariation(now, before);
  }

  /** Most probable emotion without adaptation; null without speech or adaptation. */
  get emotionWithout(): Emotion | null {
    return this.likeliest(this.probabilitiesWithout);
  }

  /** Most probable emotion of the recording; null without speech. */
  get emotion(): Emotion | null {
    return this.likeliest(this.probabilities);
  }

  /**
   * Whether the highest probability of the whole is below the model's threshold; null
   * without speech, or if the model has no threshold.
   */
  get uncertain(): boolean | null {
    const whole = this.probabilities;
    return whole && isUncertain(whole, this.certainty);
  }

  /**
   * Sentence on how the voice sounds over the course of the recording, by arousal if the
   * model has it, otherwise by emotions; null without speech.
   */
  get summary(): string | null {
    const { emotions, estimates, duration_s } = this;
    const hasArousal = this.dimensionNames.includes("arousal");
    return summarize({
      spans: estimates.map((each) => each.segment),
      emotions,
      probabilities: estimates.map((each) => Object.values(each.probabilities)),
      uncertain: estimates.map((each) => this.isUncertain(each)),
      arousal: hasArousal
        ? estimates.map(({ dimensions }) => dimensions?.arousal as number)
        : null,
      duration_s,
    });
  }

  /** Whether the voice fits the profile; null without a distance. */
  get fits(): boolean | null {
    const use = this.adaptation;
    return use && use.distance !== null ? use.distance <= use.distanceLimit : null;
  }

  /** Return whether one window is uncertain; null if the model has no threshold. */
  isUncertain(estimate: Estimate): boolean | null {
    return isUncertain(estimate.probabilities, this.certainty);
  }

  /** Return the report as described by `docs/report.schema.json`. */
  toDict(): Record<string, unknown> {
    const whole = this.probabilities;
    return {
      schema: SCHEMA,
      espressivo: VERSION,
      recording: this.recording,
      model: { ...this.model, certainty: this.certainty },
      duration_s: roundTo(this.duration_s, 3),
      track: this.track,
      channels: this.channels,
      gaps: this.gaps.map(span),
      speech_s: roundTo(this.speech_s, 3),
      speech_share: roundTo(this.speechShare, DECIMALS),
      summary: this.summary,
      emotion: this.emotion,
      uncertain: this.uncertain,
      probabilities: whole && named(whole),
      dimensions: rounded(this.dimensions),
      segments: this.segments.map(span),
      windows: this.estimates.map((estimate) => ({
        ...span(estimate.segment),
        emotion: estimate.emotion,
        uncertain: this.isUncertain(estimate),
        probabilities: named(estimate.probabilities),
        dimensions: rounded(estimate.dimensions),
      })),
      quality: this.measured(),
      warnings: [...this.warnings],
      adaptation: this.use(),
    };
  }

  /** Return `toDict` as JSON. */
  toJson(indent = 2): string {
    return JSON.stringify(this.toDict(), null, indent);
  }

  /** Return CSV as `--csv` prints it: one row per window, then one for the recording. */
  toCsv(): string {
    const fixed = ["recording", "part", "start_s", "end_s", "emotion", "uncertain"];
    const columns = [...this.emotions, ...this.dimensionNames];
    const rows: string[][] = [[...fixed, ...columns, "emotion_without", "change"]];
    this.estimates.forEach((each, i) => {
      const { start_s, end_s } = span(each.segment);
      const shown = shownAs(each.probabilities, each.dimensions);
      const at = [float(start_s), float(end_s)];
      const found = [each.emotion, cell(this.isUncertain(each))];
      const before = this.adaptation?.without[i];
      const effect = before
        ? [before.emotion, moved(each.probabilities, before.probabilities)]
        : ["", ""];
      rows.push([this.recording, "window", ...at, ...found, ...shown, ...effect]);
    });
    const whole = this.probabilities;
    const mean = whole ? shownAs(whole, this.dimensions) : columns.map(() => "");
    const end = float(roundTo(this.duration_s, 3));
    const found = [this.emotion ?? "", cell(this.uncertain)];
    const before = this.probabilitiesWithout;
    const effect =
      whole && before ? [this.emotionWithout ?? "", moved(whole, before)] : ["", ""];
    rows.push([this.recording, "recording", "0.0", end, ...found, ...mean, ...effect]);
    return rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");
  }

  private namedMean(estimates: readonly Estimate[]): Distribution | null {
    const means = this.mean(estimates.map((each) => Object.values(each.probabilities)));
    if (!means) return null;
    const whole = total(means);
    return Object.fromEntries(
      this.emotions.map((emotion, i) => [emotion, means[i] / whole]),
    ) as Distribution;
  }

  /** Return the mean of the windows' rows, weighted by duration; null without any. */
  private mean(rows: readonly (readonly number[])[]): number[] | null {
    if (rows.length === 0) return null;
    // The order of operations is numpy's, so that sums are equal to the last bit.
    const weights = this.estimates.map((each) => samplesIn(each.segment));
    const n = total(weights);
    return rows[0].map((_, i) => total(rows.map((row, k) => row[i] * weights[k])) / n);
  }

  private likeliest(distribution: Distribution | null): Emotion | null {
    return distribution && this.emotions[argmax(this.emotions.map((e) => distribution[e]))];
  }

  private use(): Record<string, unknown> | null {
    const use = this.adaptation;
    if (!use) return null;
    const before = this.probabilitiesWithout;
    return {
      speaker: use.speaker,
      setting: use.setting,
      recording: use.recording,
      n_recordings: use.nRecordings,
      n_windows: use.nWindows,
      speech_s: roundTo(use.speech_s, 3),
      weight: roundTo(use.weight, DECIMALS),
      offset: roundTo(use.offset, DECIMALS),
      deviation: roundTo(use.deviation, DECIMALS),
      prior_deviation: roundTo(use.priorDeviation, DECIMALS),
      change: roundTo(this.change, DECIMALS),
      emotion_without: this.emotionWithout,
      probabilities_without: before && named(before),
      distance: use.distance === null ? null : roundTo(use.distance, 2),
      distance_limit: roundTo(use.distanceLimit, 2),
    };
  }

  private measured(): Record<string, number | null> | null {
    if (!this.quality) return null;
    const { bandwidth_hz, level_db, clipped, snr_db } = this.quality;
    return {
      bandwidth_hz,
      level_db: level_db === null ? null : roundTo(level_db, 1),
      clipped: clipped === null ? null : roundTo(clipped, DECIMALS),
      snr_db: snr_db === null ? null : roundTo(snr_db, 1),
    };
  }
}

/** Return whether no probability reaches the threshold; null without a threshold. */
export function isUncertain(
  probabilities: Distribution,
  certainty: Certainty | null,
): boolean | null {
  return certainty && Math.max(...Object.values(probabilities)) < certainty.threshold;
}

/** Return the index of the largest value; the first one of ties. */
export function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

function span(segment: Segment): { start_s: number; end_s: number } {
  return {
    start_s: roundTo(segment.start / SAMPLE_RATE, 3),
    end_s: roundTo(segment.end / SAMPLE_RATE, 3),
  };
}

/** Return the total variation distance of two distributions, 0 to 1. */
function totalVariation(now: Distribution, before: Distribution): number {
  const [a, b] = [Object.values(now), Object.values(before)];
  // Half, since the sum counts moved probability twice: as loss and as gain.
  return a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / 2;
}

function named(probabilities: Distribution): Record<string, number> {
  const rounded = roundToOne(Object.values(probabilities));
  const names = Object.keys(probabilities);
  return Object.fromEntries(names.map((name, i) => [name, rounded[i]]));
}

function rounded(values: Dimensions | null): Dimensions | null {
  if (!values) return null;
  const entries = Object.entries(values);
  return Object.fromEntries(entries.map(([name, x]) => [name, roundTo(x, DECIMALS)]));
}

/** Format the probabilities and dimensions of a row. */
function shownAs(probabilities: Distribution, dimensions: Dimensions | null): string[] {
  const levels = Object.values(dimensions ?? {}).map((x) => roundTo(x, DECIMALS));
  return [...roundToOne(Object.values(probabilities)), ...levels].map(float);
}

/** Format how much probability moved. */
function moved(now: Distribution, before: Distribution): string {
  return float(roundTo(totalVariation(now, before), DECIMALS));
}

/** Format a number like Python's `repr` of a float. */
function float(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

/** Format what may be unknown: true, false, or empty. */
function cell(value: boolean | null): string {
  return value === null ? "" : String(value);
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
