/** Files of a model folder: fetched from a URL, or as the user selected them. */

import { ModelError } from "./errors";
import { fetched } from "./fetching";
import { shortened, toLine } from "./text";
import { type Limits, within } from "./waits";

/** Largest sizes of files, in bytes; ONNX's format allows no larger graph. */
const MOST_BYTES: Readonly<Record<string, number>> = { "model.json": 4_000_000 };
const MOST_GRAPH = 2 ** 31;

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
    const names = source.map((each) => each.name).join(", ");
    const found = shortened(toLine(names), 200) || "nothing";
    throw new ModelError(
      `the folder holds no ${name} (it holds: ${found}); choose a complete model folder`,
    );
  }
  const most = MOST_BYTES[name] ?? MOST_GRAPH;
  if (file.size > most) {
    throw new ModelError(
      `${name}: has ${file.size} bytes, more than ${most}; choose another model folder`,
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

/**
 * Return what a file holds that the app's build has compressed; others as they are.
 *
 * @throws ModelError It is damaged, or this browser is too old to read it.
 */
export async function unzipped(
  bytes: Uint8Array<ArrayBuffer>,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  // Some hosts say of such files that they are encoded: then they arrive unpacked.
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  if (!("DecompressionStream" in globalThis)) {
    throw new ModelError(
      `${name}: this browser cannot unpack it; use Chromium, Firefox 113 or Safari 16.4, or newer`,
    );
  }
  const unzip = new DecompressionStream("gzip");
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(unzip);
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new ModelError(`${name}: is damaged or cut off; put the app's file there again`);
  }
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
