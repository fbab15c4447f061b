/** The model card `model.json`, read and checked. */

import { isCovariance, type Matrix } from "./arithmetic";
import { ModelError } from "./errors";
import { shortened, toLine } from "./text";
import { DIMENSIONS, type Dimension, EMOTIONS, type Emotion, SAMPLE_RATE } from "./types";

/** Version of the model folder's format that this release reads. */
const FORMAT_VERSION = 1;

/** Numbers of `adaptation` and their largest values: beyond, arithmetic would overflow. */
const LARGEST = {
  distance_limit: 1e6,
  spread_limit: 1e6,
  suspicion: 1,
  discount: 1,
  most: 1e6,
  patience: 1e6,
  concentration: 1e6,
  odds: 1e12,
};

const LONGEST_NAME = 200; // characters of a name or version; they stand in every report

// Of means and covariances, in deviations of a window.
const LARGEST_ELEMENT = 1e6;

export interface ModelCard {
  readonly name: string;
  readonly version: string;
  /** Emotions, in the order of the graph's output columns. */
  readonly emotions: readonly Emotion[];
  /**
   * Arousal and the like, in the order of the graph's output `dimensions`; empty if the
   * model has none. `details` says from what each was learned.
   */
  readonly dimensions: readonly Dimension[];
  /** Longest and shortest window of the model, in seconds. */
  readonly window_s: number;
  readonly min_s: number;
  /** SHA-256 of `model.onnx`, in hexadecimal. */
  readonly sha256: string;
  /** How voices and settings differ; null if the model cannot adapt. */
  readonly adaptation: AdaptationCard | null;
  /** Threshold for uncertain estimates; null if the model has none. */
  readonly certainty: Certainty | null;
  /** Permitted use of the weights. */
  readonly allowedUse: string;
  /** Complete content of `model.json`. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Threshold on the highest probability, below which an estimate is uncertain. */
export interface Certainty {
  readonly threshold: number;
  /**
   * Accuracy of the other estimates that the threshold was chosen for, on corpora that
   * the model was not trained on.
   */
  readonly accuracy: number;
}

/** What the training corpora say of voices: covariances of speakers and of settings. */
export interface AdaptationCard {
  /** Means of the emotions, one row per emotion. */
  readonly means: Matrix;
  /** Covariance of the speakers' offsets, and of their interactions with emotions. */
  readonly speaker: readonly [Matrix, Matrix];
  /** The same of settings. */
  readonly setting: readonly [Matrix, Matrix];
  /** Number of dimensions in which speakers differ. */
  readonly nAxes: number;
  /** Distance from a profile beyond which the voice is probably another one. */
  readonly distanceLimit: number;
  /** Spread of a history beyond which it is probably of several speakers. */
  readonly spreadLimit: number;
  /** Share of recordings and histories of one speaker that exceed these limits. */
  readonly suspicion: number;
  /** Weight of a window, less than 1 since windows of one recording are alike. */
  readonly discount: number;
  /** Largest total weight of a history. */
  readonly most: number;
  /** Total weight at which the posterior counts for half. */
  readonly patience: number;
  /** Windows of each emotion that the prior of the shares is worth. */
  readonly concentration: number;
  /** Prior odds of all emotions in a history, against 1 for each smaller number of them. */
  readonly odds: number;
}

/**
 * Read `model.json`.
 *
 * @param text Content of the file.
 * @param path Name of the file in error messages.
 * @throws ModelError The text is not JSON, incomplete, or of a newer format.
 */
export function readCard(text: string, path: string): ModelCard {
  let details: unknown;
  try {
    details = JSON.parse(text);
  } catch {
    // Many servers send the site's page for what they do not have.
    const fault = /^\s*</.test(text)
      ? "is a web page, not JSON; put a complete model folder there"
      : "is not readable JSON; get the model again";
    throw new ModelError(`${path}: ${fault}`);
  }
  if (!isRecord(details)) throw new ModelError(`${path}: is not a JSON object`);
  const version = details["format_version"];
  if (version !== FORMAT_VERSION) {
    const newer = typeof version === "number" && version > FORMAT_VERSION;
    throw new ModelError(
      `${path}: format_version is ${shown(version)}, and this version reads ` +
        `${FORMAT_VERSION}; ${newer ? "update espressivo" : "export the model again"}`,
    );
  }
  try {
    return card(details);
  } catch (error) {
    throw new ModelError(`${path}: ${(error as Error).message}; export the model again`);
  }
}

/** Return the length of a voice vector: dimensions, no-speech probability, axes. */
export function nColumns({ means, nAxes }: AdaptationCard): number {
  return means[0].length + 1 + nAxes;
}

/**
 * Return what a model knows of voices and settings.
 *
 * @throws ModelError The model cannot adapt.
 */
export function requireAdaptation({
  name,
  version,
  adaptation,
}: ModelCard): AdaptationCard {
  if (adaptation) return adaptation;
  throw new ModelError(
    `${name} ${version}: cannot adapt to a speaker, a setting or a recording; train it ` +
      "with profile.fit = true, or use another model",
  );
}

function card(details: Record<string, unknown>): ModelCard {
  const emotions = field(details, "emotions", Array.isArray) as unknown[];
  const unknown = emotions.filter((each) => !EMOTIONS.includes(each as Emotion));
  if (emotions.length === 0 || unknown.length || new Set(emotions).size < emotions.length) {
    throw new Error(`emotions is ${shown(emotions)}`);
  }
  const rate = field(details, "sample_rate_hz", isNumber);
  if (rate !== SAMPLE_RATE)
    throw new Error(`sample_rate_hz is ${rate}, not ${SAMPLE_RATE}`);
  const window_s = field(details, "window_s", isNumber);
  const min_s = field(details, "min_s", isNumber);
  if (!(0 < min_s && min_s <= window_s && window_s <= 60)) {
    throw new Error(
      `min_s is ${min_s} and window_s ${window_s}; wanted 0 < min_s <= window_s <= 60`,
    );
  }
  const use = details["allowed_use"];
  return {
    name: field(details, "name", isName),
    version: field(details, "version", isName),
    emotions: emotions as Emotion[],
    dimensions: dimensionsOf(details["dimensions"]),
    window_s,
    min_s,
    sha256: field(details, "sha256", isString),
    adaptation: adaptationCard(details["adaptation"], emotions.length),
    certainty: certaintyOf(details["certainty"]),
    allowedUse: isString(use) ? use : "",
    details,
  };
}

function adaptationCard(entry: unknown, nEmotions: number): AdaptationCard | null {
  if (entry === undefined || entry === null) return null;
  if (!isRecord(entry)) throw new Error("adaptation is not an object");
  const number = (name: string) => field(entry, name, isNumber);
  const found = {
    means: field(entry, "means", isMatrix),
    speaker: field(entry, "speaker", isPair),
    setting: field(entry, "setting", isPair),
    nAxes: number("n_axes"),
    distanceLimit: number("distance_limit"),
    spreadLimit: number("spread_limit"),
    suspicion: number("suspicion"),
    discount: number("discount"),
    most: number("most"),
    patience: number("patience"),
    concentration: number("concentration"),
    odds: number("odds"),
  };
  if (!Number.isInteger(found.nAxes)) {
    throw new Error(`adaptation: n_axes is ${found.nAxes}`);
  }
  if (found.means.length === 0 || found.means[0].length === 0 || found.nAxes < 1) {
    throw new Error("adaptation: means or n_axes have another shape");
  }
  const d = found.means[0].length;
  for (const name of ["speaker", "setting"] as const) {
    if (!found[name].every((each) => each.length === d && each[0].length === d)) {
      throw new Error(`adaptation: ${name} has another shape than means`);
    }
    if (!found[name].every((each) => isSmall(each) && isCovariance(each))) {
      throw new Error(`adaptation: ${name} holds no covariances`);
    }
  }
  if (!isSmall(found.means)) {
    throw new Error("adaptation: means are no numbers, or too large");
  }
  for (const [name, most] of Object.entries(LARGEST)) {
    const value = number(name);
    if (!(value > 0 && value <= most)) {
      throw new Error(
        `adaptation: ${name} is ${value}; wanted more than 0 and at most ${most}`,
      );
    }
  }
  const { length } = found.means;
  if (length !== nEmotions) {
    throw new Error(`adaptation has means of ${length} emotions, not ${nEmotions}`);
  }
  return found;
}

function dimensionsOf(entry: unknown): Dimension[] {
  if (entry === undefined || entry === null) return [];
  if (!isRecord(entry)) throw new Error("dimensions is not an object");
  const names = Object.keys(entry);
  const unknown = names.filter((each) => !DIMENSIONS.includes(each as Dimension));
  if (unknown.length) throw new Error(`dimensions has ${JSON.stringify(unknown[0])}`);
  return names as Dimension[];
}

function certaintyOf(entry: unknown): Certainty | null {
  if (entry === undefined || entry === null) return null;
  if (!isRecord(entry)) throw new Error("certainty is not an object");
  const threshold = field(entry, "threshold", isNumber);
  const accuracy = field(entry, "accuracy", isNumber);
  if (!(0 < threshold && threshold < 1 && 0 < accuracy && accuracy <= 1)) {
    throw new Error(
      `certainty has threshold ${threshold} and accuracy ${accuracy}; wanted shares ` +
        "between 0 and 1",
    );
  }
  return { threshold, accuracy };
}

function field<T>(
  entries: Record<string, unknown>,
  name: string,
  is: (value: unknown) => value is T,
): T {
  const value = entries[name];
  if (value === undefined) throw new Error(`has no '${name}'`);
  if (!is(value)) throw new Error(`${name} is ${shown(value)}`);
  return value;
}

/** Return a value of the card as JSON on one short line. */
const shown = (value: unknown): string =>
  shortened(toLine(JSON.stringify(value) ?? "undefined"), 100);
const isNumber = (value: unknown): value is number => Number.isFinite(value);
/** Whether a value is rows of numbers, all of one length. */
const isMatrix = (value: unknown): value is Matrix =>
  Array.isArray(value) &&
  value.every((row) => Array.isArray(row) && row.every(isNumber)) &&
  value.every((row) => row.length === value[0].length);
const isPair = (value: unknown): value is readonly [Matrix, Matrix] =>
  Array.isArray(value) && value.length === 2 && value.every(isMatrix);
const isSmall = (value: Matrix): boolean =>
  value.flat().every((x) => Math.abs(x) <= LARGEST_ELEMENT);
const isString = (value: unknown): value is string => typeof value === "string";
const isName = (value: unknown): value is string =>
  isString(value) && value.length <= LONGEST_NAME && toLine(value) === value;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
