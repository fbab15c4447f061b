/** Limits on waiting, so that every wait ends with an answer or an error. */

import { EspressivoError } from "./errors";

/** Default number of seconds without progress after which a wait ends with an error. */
export const TIMEOUT_S = 20;

export interface Limits {
  /** Seconds without progress after which the wait ends with an error. */
  readonly timeout_s: number;
  /** Signal that ends the wait at once. */
  readonly signal?: AbortSignal | undefined;
  /** Another such signal. */
  readonly gone?: AbortSignal;
  /** Value that changes whenever there is progress; by default only the end is progress. */
  readonly progress?: () => unknown;
}

/** Message by which the page asks its worker for a sign of life, and the answer. */
export const PING = "ping";
export const PONG = "pong";

// One timer serves all waits: decoding waits for each packet, and a timer costs as much.
const TICK_MS = 25;
// Share of a limit that one tick counts at most: a laptop may have slept for an hour.
const MOST_OF_LIMIT = 0.2;
const ticking = new Set<(elapsed_ms: number) => void>();
let timer: ReturnType<typeof setInterval> | null = null;
let ticked_ms = 0;

/**
 * Wait for a promise within limits.
 *
 * @param error The error with which the wait ends if there is no progress.
 * @throws The reason of the signal when it is aborted.
 */
export function within<T>(
  promise: Promise<T>,
  { timeout_s, signal, gone, progress }: Limits,
  error: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const limit_ms = 1000 * timeout_s;
    let seen = progress?.();
    let idle_ms = 0;
    const tick = (elapsed_ms: number) => {
      const now = progress?.();
      idle_ms = now === seen ? idle_ms + Math.min(elapsed_ms, MOST_OF_LIMIT * limit_ms) : 0;
      seen = now;
      if (idle_ms >= limit_ms) end(() => reject(error()));
    };
    const stop = ({ target }: { target: EventTarget | null }) =>
      end(() => reject((target as AbortSignal).reason));
    const end = (settle: () => void) => {
      ticking.delete(tick);
      signal?.removeEventListener("abort", stop);
      gone?.removeEventListener("abort", stop);
      settle();
    };
    promise.then(
      (value) => end(() => resolve(value)),
      (reason) => end(() => reject(reason)),
    );
    ticking.add(tick);
    start();
    for (const each of [signal, gone]) {
      if (each?.aborted) stop({ target: each });
      else each?.addEventListener("abort", stop);
    }
  });
}

function start(): void {
  if (timer !== null) return;
  ticked_ms = performance.now();
  timer = setInterval(() => {
    const now_ms = performance.now();
    for (const tick of ticking) tick(now_ms - ticked_ms);
    ticked_ms = now_ms;
    if (ticking.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  }, TICK_MS);
}

/**
 * Return a time limit as given, or the default.
 *
 * @throws EspressivoError It is not a positive number of seconds.
 */
export function timeoutOf(timeout_s: number = TIMEOUT_S): number {
  if (timeout_s > 0 && timeout_s <= 86_400) return timeout_s;
  throw new EspressivoError(
    `timeout_s is ${timeout_s}; pass a number of seconds above 0, at most 86400`,
  );
}
