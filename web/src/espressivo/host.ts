/** Where a model runs, as the interface for programs sees it. */

import type * as Comlink from "comlink";
import type { ModelWorker } from "./model-worker";

/** A worker of the page, or this process. */
export interface Host {
  readonly remote: Comlink.Remote<ModelWorker>;
  /** Seconds without progress after which a wait ends. */
  readonly timeout_s: number;
  /** Wait for a reply, which comes within limits, or else an error does. */
  reply<T>(asked: Promise<T>, signal?: AbortSignal): Promise<T>;
  /** End the model; all waits end with the error. */
  end(error: Error): void;
  /** Open the file that a text or URL names; null if it is to be fetched. */
  opened?(name: string | URL): Promise<File | null>;
}
