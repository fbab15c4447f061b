/**
 * Vite plugin: the models and their index, as files of the app and in the development
 * server. They are the bundled ones, or what ESPRESSIVO_WEB_MODELS says: the folder of
 * others, or the names of some bundled ones, with commas between them.
 */

import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "vite";

const PACKAGE = path.resolve(import.meta.dirname, "../../src/espressivo");
const INDEX = "models.json";

const BUNDLED = path.join(PACKAGE, "assets/models");
const CHOSEN = process.env["ESPRESSIVO_WEB_MODELS"] || BUNDLED;
const NAMES = existsSync(CHOSEN) ? null : CHOSEN.split(",");

/** The folder of the models that are built in, one folder each. */
export const MODELS = NAMES ? BUNDLED : path.resolve(CHOSEN);

/** Whether the models are espressivo's own. */
export const ARE_BUNDLED = MODELS === BUNDLED;

/** Files of a model that a program loads: the others document it. */
export const LOADED = ["model.json", "model.onnx"];

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
      for (const name of await names()) {
        await cp(path.join(MODELS, name), path.join(out, name), { recursive: true });
      }
      await writeFile(path.join(out, INDEX), await index());
    },
    configureServer(server) {
      server.middlewares.use(`/${to}`, async (request, response, next) => {
        const url = (request.url ?? "/").split("?")[0] ?? "/";
        if (url === `/${INDEX}`) {
          response.end(await index());
          return;
        }
        const file = path.join(MODELS, path.normalize(url));
        createReadStream(file).on("error", next).pipe(response);
      });
    },
  };
}

/** Return the names of the models' folders, sorted. */
export async function names(): Promise<string[]> {
  const entries = await readdir(MODELS, { withFileTypes: true });
  const there = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const missing = NAMES?.filter((name) => !there.includes(name)) ?? [];
  if (missing.length) {
    throw new Error(
      `ESPRESSIVO_WEB_MODELS: ${missing.join(", ")} is neither a folder nor a bundled ` +
        `model; name some of ${there.sort().join(", ")}, or a folder of model folders`,
    );
  }
  return (NAMES ?? there).sort();
}

/** Return the content of models.json, as `espressivo models index` writes it. */
async function index(): Promise<string> {
  const all = await names();
  const wanted = await defaultName();
  const first = all.includes(wanted) ? wanted : all[0];
  const entries = all.map((name) => listed(name, name === first));
  return `${JSON.stringify({ models: await Promise.all(entries) }, null, 2)}\n`;
}

/** Return the name of the model that Python takes by default. */
async function defaultName(): Promise<string> {
  const text = await readFile(path.join(PACKAGE, "model/find.py"), "utf-8");
  const name = /^DEFAULT = "(.+)"$/m.exec(text)?.[1];
  if (!name) throw new Error("find.py names no DEFAULT");
  return name;
}

async function listed(name: string, isDefault: boolean) {
  const folder = path.join(MODELS, name);
  const content = await readFile(path.join(folder, "model.json"));
  const card = JSON.parse(content.toString());
  const digests: [file: string, sha256: string | undefined][] = [
    ["model.json", createHash("sha256").update(content).digest("hex")],
    ["model.onnx", card.sha256],
  ];
  const files: Record<string, { sha256: string; bytes: number }> = {};
  for (const [file, sha256] of digests) {
    if (!sha256) continue;
    files[file] = { sha256, bytes: (await stat(path.join(folder, file))).size };
  }
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  return { name, version: card.version as string, bytes, default: isDefault, files };
}
