/** Vite plugin: the bundled models, as files of the app and in the development server. */

import { createReadStream } from "node:fs";
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "vite";

const MODELS = path.resolve(import.meta.dirname, "../../src/espressivo/assets/models");

/** @param to Where the build puts them, below its output folder. */
export function models(to = "models"): Plugin {
  let out = "";
  return {
    name: "espressivo:models",
    configResolved(config) {
      out = path.resolve(config.root, config.build.outDir, to);
    },
    async writeBundle() {
      await mkdir(out, { recursive: true });
      for (const { name } of await listed()) {
        await cp(path.join(MODELS, name), path.join(out, name), { recursive: true });
      }
      await writeFile(path.join(out, "index.json"), await index());
    },
    configureServer(server) {
      server.middlewares.use(`/${to}`, async (request, response, next) => {
        const url = (request.url ?? "/").split("?")[0] ?? "/";
        if (url === "/index.json") {
          response.end(await index());
          return;
        }
        const file = path.join(MODELS, path.normalize(url));
        createReadStream(file).on("error", next).pipe(response);
      });
    },
  };
}

/** Return what there is to choose from, as the app's model picker reads it. */
async function index(): Promise<string> {
  return `${JSON.stringify({ models: await listed() }, null, 2)}\n`;
}

async function listed() {
  const names = (await readdir(MODELS)).sort();
  return Promise.all(
    names.map(async (name) => {
      const card = JSON.parse(
        await readFile(path.join(MODELS, name, "model.json"), "utf-8"),
      );
      return {
        name: card.name as string,
        version: card.version as string,
        path: `${name}/`,
      };
    }),
  );
}
