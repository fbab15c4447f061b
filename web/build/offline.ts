/**
 * Vite plugin: the service worker knows every file of the app and of its models, and the
 * policy that index.html states; `_headers` gives that policy to hosts which read such a file.
 */

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "vite";
import { LOADED } from "./models.ts";

const WORKER = "sw.js";
// Kept when the page asks for it: not every model is used.
const MODEL_FILE = /^models\/[^/]+\//;

export function offline(): Plugin {
  let out = "";
  return {
    name: "espressivo:offline",
    configResolved(config) {
      out = path.resolve(config.root, config.build.outDir);
    },
    // Not writeBundle, in which the models are still being copied.
    async closeBundle() {
      const page = await readFile(path.join(out, "index.html"), "utf-8");
      const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(
        page,
      )?.[1];
      if (!policy) throw new Error("index.html states no Content-Security-Policy");
      const headers = {
        "Content-Security-Policy": `${policy}; frame-ancestors 'none'`,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
      };
      const lines = Object.entries(headers).map(([name, value]) => `  ${name}: ${value}\n`);
      await writeFile(path.join(out, "_headers"), `/*\n${lines.join("")}`);
      const worker = path.join(out, WORKER);
      const text = await readFile(worker, "utf-8");
      const files = await revisions(out);
      const [app, models] = [false, true].map((isModel) =>
        JSON.stringify(
          Object.fromEntries(
            Object.entries(files).filter(([file]) => MODEL_FILE.test(file) === isModel),
          ),
        ),
      );
      const filled = text
        .replace(/["'`]__FILES__["'`]/, app)
        .replace(/["'`]__MODELS__["'`]/, models)
        .replace(/["'`]__HEADERS__["'`]/, JSON.stringify(headers));
      if (/__FILES__|__MODELS__|__HEADERS__/.test(filled))
        throw new Error("sw.js was not filled in");
      await writeFile(worker, filled);
    },
  };
}

/** Return every file that the app may need offline, with a hash of its content. */
async function revisions(out: string): Promise<Record<string, string>> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(out, path.join(entry.parentPath, entry.name)))
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => file !== WORKER && !file.startsWith("_"))
    .filter((file) => !MODEL_FILE.test(file) || LOADED.includes(path.posix.basename(file)))
    .sort();
  const hashed = files.map(async (file) => {
    const bytes = await readFile(path.join(out, file));
    return [file, createHash("sha256").update(bytes).digest("hex").slice(0, 16)] as const;
  });
  return Object.fromEntries(await Promise.all(hashed));
}
