/** The model card `model.json`, read and checked. */

import { ModelError } from "./errors";
import { EMOTIONS, type Emotion, SAMPLE_RATE } from "./types";

/** Version of the model folder's format that this release reads. */
const FORMAT_VERSION = 1;

export interface ModelCard {
  readonly name: string;
  readonly version: string;
  /** Emotions, in the order of the graph's output columns. */
  readonly emotions: readonly Emotion[];
  /** Longest and shortest window of the model, in seconds. */
  readonly window_s: number;
  readonly min_s: number;
  /** SHA-256 of `model.onnx`, in hexadecimal. */
  readonly sha256: string;
  /** Card of `profile.onnx`; null if the model takes no profiles. */
  readonly profileHead: ProfileHeadCard | null;
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

export interface ProfileHeadCard {
  readonly sha256: string;
  /** Number of dimensions of the embedding. */
  readonly width: number;
  /** Distance from a profile beyond which the voice is probably another one. */
  readonly distanceLimit: number;
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
    throw new ModelError(`${path}: is not readable JSON; get the model again`);
  }
  if (!isRecord(details)) throw new ModelError(`${path}: is not a JSON object`);
  const version = details["format_version"];
  if (version !== FORMAT_VERSION) {
    const newer = typeof version === "number" && version > FORMAT_VERSION;
    throw new ModelError(
      `${path}: format_version is ${JSON.stringify(version)}, and this version reads ` +
        `${FORMAT_VERSION}; ${newer ? "update espressivo" : "export the model again"}`,
    );
  }
  try {
    return card(details);
  } catch (error) {
    throw new ModelError(`${path}: ${(error as Error).message}; export the model again`);
  }
}

function card(details: Record<string, unknown>): ModelCard {
  const emotions = field(details, "emotions", Array.isArray) as unknown[];
  const unknown = emotions.filter((each) => !EMOTIONS.includes(each as Emotion));
  if (emotions.length === 0 || unknown.length || new Set(emotions).size < emotions.length) {
    throw new Error(`emotions is ${JSON.stringify(emotions)}`);
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
    name: field(details, "name", isString),
    version: field(details, "version", isString),
    emotions: emotions as Emotion[],
    window_s,
    min_s,
    sha256: field(details, "sha256", isString),
    profileHead: profileHeadCard(details["profile"]),
    certainty: certaintyOf(details["certainty"]),
    allowedUse: isString(use) ? use : "",
    details,
  };
}

function profileHeadCard(entry: unknown): ProfileHeadCard | null {
  if (entry === undefined || entry === null) return null;
  if (!isRecord(entry)) throw new Error("profile is not an object");
  return {
    sha256: field(entry, "sha256", isString),
    width: field(entry, "width", isNumber),
    distanceLimit: field(entry, "distance_limit", isNumber),
  };
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
  if (!is(value)) throw new Error(`${name} is ${JSON.stringify(value)}`);
  return value;
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isString = (value: unknown): value is string => typeof value === "string";
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
