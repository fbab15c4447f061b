/** The worker as the page sees it: every reply comes within limits, or an error does. */

import * as Comlink from "comlink";
import { EspressivoError } from "./errors";
import { PING, PONG, within } from "./waits";
import type { ModelWorker } from "./worker";

// A worker that computes one window gives no sign of life meanwhile.
const PATIENCE = 3;
const ASKED = 20; // milliseconds between pings for each second of the limit

export class WatchedWorker {
  readonly remote: Comlink.Remote<ModelWorker>;
  private readonly worker: Worker;
  private readonly gone = new AbortController();
  private nSigns = 0;

  /** @param timeout_s Seconds without progress after which a wait ends. */
  constructor(readonly timeout_s: number) {
    this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.worker.onerror = ({ message }) =>
      this.end(
        new EspressivoError(`the worker has failed (${message || "it cannot start"})`),
      );
    this.worker.addEventListener("message", ({ data }) => {
      if (data === PONG || data?.id) this.nSigns += 1;
    });
    this.remote = Comlink.wrap<ModelWorker>(this.worker);
  }

  /**
   * Wait for a reply.
   *
   * @throws EspressivoError The worker has failed, or gives no sign of life.
   */
  reply<T>(asked: Promise<T>, signal?: AbortSignal): Promise<T> {
    const { gone, worker } = this;
    const timeout_s = PATIENCE * this.timeout_s;
    let asked_ms = 0;
    const progress = () => {
      const now_ms = performance.now();
      if (now_ms - asked_ms > timeout_s * ASKED) {
        worker.postMessage(PING);
        asked_ms = now_ms;
      }
      return this.nSigns;
    };
    const dead = () => {
      const error = new EspressivoError(
        `the worker has given no sign of life for ${timeout_s} s`,
      );
      this.end(error);
      return error;
    };
    const limits = { timeout_s, signal, gone: gone.signal, progress };
    return within(asked, limits, dead);
  }

  /** End the worker; all waits end with the error. */
  end(error: Error): void {
    this.worker.terminate();
    this.gone.abort(error);
  }
}
