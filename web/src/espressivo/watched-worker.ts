/** The worker as the page sees it: every reply comes within limits, or an error does. */

import * as Comlink from "comlink";
import { EspressivoError } from "./errors";
import type { Host } from "./host";
import type { ModelWorker } from "./model-worker";
import { PING, PONG, within } from "./waits";

// A worker that computes one window gives no sign of life meanwhile.
const PATIENCE = 3;
const ASKED = 20; // milliseconds between pings for each second of the limit

export class WatchedWorker implements Host {
  readonly remote: Comlink.Remote<ModelWorker>;
  private readonly worker: Worker;
  private readonly gone = new AbortController();
  private nSigns = 0;

  /**
   * @param script URL of the worker's script.
   * @param timeout_s Seconds without progress after which a wait ends.
   */
  constructor(
    script: string,
    readonly timeout_s: number,
  ) {
    this.worker = new Worker(script, { type: "module" });
    // A script that is missing, or no script, has no message.
    this.worker.onerror = ({ message }) =>
      this.end(
        new EspressivoError(
          message
            ? `the worker has failed (${message})`
            : `the worker cannot start: there is no script at ` +
                `${script.split("#")[0]}; copy the folder ` +
                "lib/assets of the package to your site, and pass its URL as `assets` " +
                "(Vite 5 to 7: exclude the package from optimizeDeps)",
        ),
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
