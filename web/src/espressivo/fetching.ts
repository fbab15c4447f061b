/** Downloads that end with an error when no more bytes arrive. */

import { type Limits, within } from "./waits";

/**
 * Fetch a URL completely.
 *
 * @param error Makes the error for a failure; it is given the reason.
 * @param tell Callback, called with the number of bytes of each piece that arrives.
 * @returns The response's body, with its type.
 */
export async function fetched(
  url: string,
  limits: Limits,
  error: (reason: string) => Error,
  tell: (n_bytes: number) => void = () => {},
): Promise<Blob> {
  const stop = new AbortController();
  const silent = () => error(`has sent nothing for ${limits.timeout_s} s`);
  try {
    const asked = fetch(url, { credentials: "same-origin", signal: stop.signal });
    const response = await within(asked, limits, silent).catch((reason) => {
      throw reason instanceof TypeError
        ? error("cannot be fetched; is the device offline?")
        : reason;
    });
    return await bodyOf(response, limits, error, tell);
  } finally {
    stop.abort(); // of no effect on a download that is complete
  }
}

/**
 * Read the body of a response.
 *
 * @param error Makes the error for a failure; it is given the reason.
 * @param tell Callback, called with the number of bytes of each piece that arrives.
 */
export async function bodyOf(
  response: Response,
  limits: Limits,
  error: (reason: string) => Error,
  tell: (n_bytes: number) => void = () => {},
): Promise<Blob> {
  if (!response.ok) throw error(`the server says ${response.status}`);
  if (response.bodyUsed) throw error("its body was read before; pass a fresh response");
  if (!response.body) return new Blob([]);
  const reader = response.body.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const silent = () => error(`has sent nothing for ${limits.timeout_s} s`);
  try {
    for (;;) {
      const piece = await within(reader.read(), limits, silent);
      if (piece.done) break;
      pieces.push(piece.value);
      tell(piece.value.length);
    }
  } catch (reason) {
    void reader.cancel().catch(() => undefined);
    throw reason instanceof TypeError ? error("the connection broke") : reason;
  }
  return new Blob(pieces, { type: response.headers.get("Content-Type") ?? "" });
}
