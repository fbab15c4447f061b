/** The worker's entry: the page's calls, by messages, so that the page stays responsive. */

import * as Comlink from "comlink";
import { ModelWorker } from "./model-worker";
import { PING, PONG } from "./waits";

// onnxruntime-web begins its threads with this script too, and listens by itself there.
const scope = globalThis as { name?: string; espressivoListens?: true };
const isThread = scope.name?.startsWith("em-pthread");
// Where a module is evaluated twice, two receivers would answer every message.
if (!isThread && !scope.espressivoListens) {
  scope.espressivoListens = true;
  // The page asks for a sign of life while it waits.
  addEventListener("message", ({ data }) => {
    if (data === PING) postMessage(PONG);
  });
  Comlink.expose(new ModelWorker());
}
