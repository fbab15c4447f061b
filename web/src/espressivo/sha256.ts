/** Hashes of files. */

import { ModelError } from "./errors";

/** Return the SHA-256 in hexadecimal; browsers offer it on https and localhost only. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) {
    throw new ModelError(
      "this page cannot verify a model: browsers hash only for https and localhost; " +
        "open it at one of these",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
