/**
 * Service worker: the app works offline and sends no request to another host.
 *
 * The app's files are cached when it is installed, those of a model when the page asks
 * to keep it. Every file is cached under its name and a hash of its content, so that an
 * update fetches only changed files. Responses from the cache carry the app's
 * Content-Security-Policy, also for worker scripts, whatever headers the host sends.
 */

const worker = globalThis as unknown as ServiceWorkerGlobalScope;

const FILES = "__FILES__" as unknown as Record<string, string>; // file -> hash
const MODELS = "__MODELS__" as unknown as Record<string, string>; // models/NAME/FILE -> hash
const HEADERS = "__HEADERS__" as unknown as Record<string, string>;
const CACHE = "espressivo";
const KNOWN = { ...FILES, ...MODELS };

worker.addEventListener("install", (event) => {
  // An update waits until no page with the earlier files is open.
  event.waitUntil(install());
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(clean().then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.protocol === "blob:" || url.protocol === "data:") return;
  event.respondWith(answer(event, url));
});

worker.addEventListener("message", (event) => {
  const [port] = event.ports;
  const files = filesOf(String(event.data?.keep));
  if (!port) return;
  const kept = files.length ? fill(files) : Promise.reject();
  event.waitUntil(
    kept.then(
      () => port.postMessage(true),
      () => port.postMessage(false),
    ),
  );
});

/** Cache the app, and anew the models that an earlier version has kept. */
async function install(): Promise<void> {
  await fill(Object.keys(FILES));
  const cache = await caches.open(CACHE);
  const kept = new Set<string>();
  for (const request of await cache.keys()) {
    const [, name] =
      /\/models\/([^/]+)\/model\.onnx$/.exec(new URL(request.url).pathname) ?? [];
    if (name) kept.add(name);
  }
  for (const name of kept) await fill(filesOf(name));
}

/** Return the files of a model that the app loads; none if there is no such model. */
function filesOf(model: string): string[] {
  return Object.keys(MODELS).filter((file) => file.startsWith(`models/${model}/`));
}

async function fill(files: readonly string[]): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const file of files) {
    const key = keyOf(file);
    if (await cache.match(key)) continue;
    const response = await fetch(new URL(file, worker.registration.scope), {
      cache: "no-cache",
    });
    if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
    await cache.put(key, response);
  }
}

/** Delete the cached files of earlier versions. */
async function clean(): Promise<void> {
  const cache = await caches.open(CACHE);
  const wanted = new Set(Object.keys(KNOWN).map(keyOf));
  for (const request of await cache.keys()) {
    if (!wanted.has(request.url)) await cache.delete(request);
  }
}

async function answer(event: FetchEvent, url: URL): Promise<Response> {
  if (url.origin !== worker.location.origin) return Response.error();
  const scope = new URL(worker.registration.scope).pathname;
  const file = url.pathname.slice(scope.length) || "index.html";
  const cache = await caches.open(CACHE);
  const key = KNOWN[file] ? keyOf(file) : url.href;
  const kept = await cache.match(key);
  if (kept) return withPolicy(kept);
  const response = await fetch(event.request);
  // A model is fetched on request, and then cached.
  if (response.ok && MODELS[file]) event.waitUntil(cache.put(key, response.clone()));
  return withPolicy(response);
}

function withPolicy(response: Response): Response {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, { status, statusText, headers });
}

function keyOf(file: string): string {
  return new URL(`${file}?hash=${KNOWN[file]}`, worker.registration.scope).href;
}
