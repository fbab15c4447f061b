/** Offline use: the service worker keeps the app, and the models that were chosen. */

import { within } from "../espressivo/waits";
import { element } from "./elements";

const ROOT = document.documentElement.dataset;
// The files mostly come from the browser's own cache; if not, from a slow network.
const KEEP_LIMITS = { timeout_s: 600 };

let latest: string | null = null;
let registered: Promise<ServiceWorkerRegistration> | null = null;

/**
 * Register the service worker, which then keeps the app's own files.
 *
 * To be called after a model is loaded, so that its files come from the HTTP cache.
 */
export function register(): void {
  if (!("serviceWorker" in navigator) || !import.meta.env.PROD) return;
  registered ??= navigator.serviceWorker.register("sw.js");
}

/**
 * Have a model of the index kept for offline use, and say whether it is.
 *
 * @param name Name of its folder; null for a model that is not of the index.
 */
export async function keep(name: string | null): Promise<void> {
  delete ROOT["offline"];
  register();
  if (!registered) return;
  latest = name;
  const note = element("offline-note");
  try {
    const { waiting } = await registered;
    const { active } = await navigator.serviceWorker.ready;
    if (name !== null) await asked(active, name);
    if (latest !== name) return; // another was chosen meanwhile
    note.textContent = waiting
      ? "A new version is here: close this page everywhere, and open it again."
      : name === null
        ? "Offline it works with its own models; a model folder is not kept."
        : `With ${name} it is ready to work offline.`;
    ROOT["offline"] = "true";
  } catch {
    note.textContent = "This browser keeps no copy of it for offline use.";
  }
}

/** Ask the service worker to keep a model, and wait until it does. */
async function asked(worker: ServiceWorker | null, keep: string): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const kept = new Promise<void>((resolve, reject) => {
    port1.onmessage = ({ data }) => (data ? resolve() : reject(new Error("not kept")));
  });
  worker?.postMessage({ keep }, [port2]);
  await within(kept, KEEP_LIMITS, () => new Error("no answer"));
}
