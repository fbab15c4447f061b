/**
 * Service worker: the app works offline and sends no request to another host.
 *
 * Every file is cached under its name and a hash of its content, so that an update fetches
 * only changed files. Responses from the cache carry the app's Content-Security-Policy,
 * also for worker scripts, whatever headers the host sends.
 */

const worker = globalThis as unknown as ServiceWorkerGlobalScope;

const FILES = "__FILES__" as unknown as Record<string, string>; // file -> hash
const HEADERS = "__HEADERS__" as unknown as Record<string, string>;
const CACHE = "espressivo";

worker.addEventListener("install", (event) => {
  // An update waits until no page with the earlier files is open.
  event.waitUntil(fill());
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(clean().then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.protocol === "blob:" || url.protocol === "data:") return;
  event.respondWith(answer(event.request, url));
});

async function fill(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const [file, hash] of Object.entries(FILES)) {
    const key = keyOf(file, hash);
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
  const wanted = new Set(Object.entries(FILES).map(([file, hash]) => keyOf(file, hash)));
  for (const request of await cache.keys()) {
    if (!wanted.has(request.url)) await cache.delete(request);
  }
}

async function answer(request: Request, url: URL): Promise<Response> {
  if (url.origin !== worker.location.origin) return Response.error();
  const scope = new URL(worker.registration.scope).pathname;
  const file = url.pathname.slice(scope.length) || "index.html";
  const cache = await caches.open(CACHE);
  const hash = FILES[file];
  const kept = await cache.match(hash ? keyOf(file, hash) : url.href);
  if (kept) return withPolicy(kept);
  const response = await fetch(request);
  // Other files of assets/ (WebGPU) are fetched on request, and then cached.
  if (response.ok && file.startsWith("assets/"))
    await cache.put(url.href, response.clone());
  return withPolicy(response);
}

function withPolicy(response: Response): Response {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, { status, statusText, headers });
}

function keyOf(file: string, hash: string): string {
  return new URL(`${file}?hash=${hash}`, worker.registration.scope).href;
}
