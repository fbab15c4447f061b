// A static file server, and a proxy that counts bytes.

import { createReadStream, statSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/**
 * Serve files on a free port of this machine.
 *
 * Neither Cross-Origin-Opener-Policy nor Cross-Origin-Embedder-Policy is sent: pages are
 * not isolated, so that every runtime is limited to one thread.
 *
 * @param {Record<string, string>} mounts - Folder or file by prefix of the path.
 */
export async function serve(mounts) {
  const prefixes = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const server = createHttpServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const prefix = prefixes.find((prefix) => path.startsWith(prefix));
    const file = prefix && join(mounts[prefix], path.slice(prefix.length));
    const found = file && statSync(file, { throwIfNoEntry: false });
    if (!found?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type, "Content-Length": found.size });
    createReadStream(file).pipe(response);
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}/`, close: () => close(server) };
}

/** Proxy a server and count the bytes that it sends, headers included. */
export async function count(url) {
  const sockets = new Set();
  const counter = { bytes: 0, last: performance.now() };
  const server = createServer((client) => {
    const { hostname, port } = new URL(url);
    const upstream = connect(Number(port), hostname);
    upstream.on("data", (piece) => {
      counter.bytes += piece.length;
      counter.last = performance.now();
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {}); // the browser drops connections as it likes
      socket.on("close", () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  });
  counter.url = `http://127.0.0.1:${await listen(server)}/`;
  counter.close = () => {
    for (const socket of sockets) socket.destroy();
    return close(server);
  };
  return counter;
}

async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.address().port;
}

async function close(server) {
  server.closeAllConnections?.();
  await new Promise((resolve) => server.close(resolve));
}
