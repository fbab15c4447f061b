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

// Time is counted in ticks, so that the hour in which a laptop sleeps is one tick.
const TICKS = 20;

/**
 * Wait for a promise within limits.
 *
 * @param error The error with which the wait ends if there is no progress.
 * @throws The reason of the signal when it is aborted.
 */
export function within<T>(
  promise: Promise<T>,
  { timeout_s, signal, gone, progress = () => 0 }: Limits,
  error: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let seen = progress();
    let idle = 0;
    const tick = () => {
      const now = progress();
      idle = now === seen ? idle + 1 : 0;
      seen = now;
      if (idle >= TICKS) end(() => reject(error()));
    };
    const timer = setInterval(tick, (timeout_s * 1000) / TICKS);
    const stop = ({ target }: { target: EventTarget | null }) =>
      end(() => reject((target as AbortSignal).reason));
    const end = (settle: () => void) => {
      clearInterval(timer);
      for (const each of [signal, gone]) each?.removeEventListener("abort", stop);
      settle();
    };
    promise.then(
      (value) => end(() => resolve(value)),
      (reason) => end(() => reject(reason)),
    );
    for (const each of [signal, gone]) {
      if (each?.aborted) stop({ target: each });
      else each?.addEventListener("abort", stop);
    }
  });
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
