/** Files of a model folder: fetched from a URL, or as the user selected them. */

import { ModelError } from "./errors";
import { fetched } from "./fetching";
import { type Limits, within } from "./waits";

/** A model folder: its URL, or its files as the user selected them. */
export type ModelSource = string | readonly File[];

/**
 * Read one file of a model folder.
 *
 * @param tell Callback, called with the number of bytes of each piece that arrives.
 * @throws ModelError It is missing, or nothing of it arrives within the limits.
 */
export async function modelFile(
  source: ModelSource,
  name: string,
  limits: Limits,
  tell: (n_bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof source === "string") return fetchedFile(folderOf(source) + name, limits, tell);
  const file = source.find((each) => each.name === name);
  if (!file) {
    const found = source.map((each) => each.name).join(", ") || "nothing";
    throw new ModelError(
      `the folder holds no ${name} (it holds: ${found}); choose a complete model folder`,
    );
  }
  return bytesOf(file, name, limits);
}

/**
 * Fetch a file that a model needs.
 *
 * @param tell Callback, called with the number of bytes of each piece that arrives.
 * @throws ModelError There is no such file, or nothing of it arrives within the limits.
 */
export async function fetchedFile(
  url: string,
  limits: Limits,
  tell: (n_bytes: number) => void = () => {},
): Promise<Uint8Array<ArrayBuffer>> {
  const failed = (reason: string) => {
    const remedy = /^the server says/.test(reason)
      ? "; put a complete model folder there"
      : "";
    return new ModelError(`${url}: ${reason}${remedy}`);
  };
  return bytesOf(await fetched(url, limits, failed, tell), url, limits);
}

/** Return a folder's URL with a slash at its end; empty for selected files. */
export function folderOf(source: ModelSource): string {
  return typeof source === "string" ? source.replace(/\/?$/, "/") : "";
}

async function bytesOf(
  file: Blob,
  name: string,
  limits: Limits,
): Promise<Uint8Array<ArrayBuffer>> {
  const silent = () =>
    new ModelError(`${name}: cannot be read within ${limits.timeout_s} s`);
  return new Uint8Array(await within(file.arrayBuffer(), limits, silent));
}
