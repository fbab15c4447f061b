/** The index `models/models.json`: which models there are to choose from. */

import { ModelError } from "../espressivo";
import { megabytes } from "./words";

/** Where the index is, below the page; the models' folders are beside it. */
export const INDEX = "models/models.json";

/** A model of the index, as `espressivo models index` writes it. */
export interface ListedModel {
  /** Name of the folder. */
  readonly name: string;
  readonly version: string;
  /** Size of all files that are loaded, in bytes. */
  readonly bytes: number;
  readonly isDefault: boolean;
}

// It becomes a part of a URL: the same rule as in Python, but for Windows's devices.
const NAME = /^[a-z0-9_](?:[\w.-]{0,62}[\w-])?$/i;

/**
 * Read the index.
 *
 * @throws ModelError It is not JSON, empty, or an entry is incomplete.
 */
export function readIndex(text: string): ListedModel[] {
  try {
    const { models } = JSON.parse(text);
    const listed = (models as unknown[]).map(entryOf);
    if (listed.length) return listed;
  } catch {
    throw new ModelError(`${INDEX}: is no index of models`);
  }
  throw new ModelError(`${INDEX}: lists no model`);
}

function entryOf(entry: unknown): ListedModel {
  const { name, version, bytes, default: isDefault } = entry as Record<string, unknown>;
  const size = Number.isInteger(bytes) && (bytes as number) > 0;
  if (!NAME.test(String(name)) || typeof version !== "string" || !size) throw new Error();
  const is = isDefault === true;
  return { name: name as string, version, bytes: bytes as number, isDefault: is };
}

/**
 * Return the model to begin with.
 *
 * @param remembered Name of the model that was chosen before, or null.
 * @param savesData Whether the user asks pages to fetch little: then the smallest.
 */
export function firstModel(
  models: readonly ListedModel[],
  remembered: string | null,
  savesData: boolean,
): ListedModel {
  const chosen = models.find(({ name }) => name === remembered);
  if (chosen) return chosen;
  return savesData
    ? bySize(models)[0]
    : (models.find((each) => each.isDefault) ?? models[0]);
}

// What espressivo's own models are chosen for; others are known by their names alone.
const MADE_FOR: Readonly<Record<string, string>> = {
  "espressivo-nano": "fast",
  "espressivo-tiny": "balanced",
  "espressivo-base": "accurate",
};

/** Return what the list of models calls one. */
export function titleOf({ name, version, bytes }: ListedModel): string {
  const purpose = MADE_FOR[name];
  return `${purpose ? `${purpose}: ` : ""}${name} ${version}, ${megabytes(bytes)}`;
}

/** Return the models as they are listed: the smallest first. */
export function bySize(models: readonly ListedModel[]): ListedModel[] {
  return [...models].sort((a, b) => a.bytes - b.bytes);
}
