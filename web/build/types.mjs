// The package's types, as Node resolves modules: imports name files, with their ending. What
// index.d.ts does not reach is deleted, so that users need no types of our dependencies.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const TYPES = path.resolve(import.meta.dirname, "../lib/types");
const IMPORT = /((?:from|import)\s*\(?\s*")(\.[^"]+)(")/g;
const reached = new Set();

reach("index");
for (const file of readdirSync(TYPES, { recursive: true })) {
  if (!file.endsWith(".d.ts") || reached.has(file.replaceAll(path.sep, "/"))) continue;
  rmSync(path.join(TYPES, file));
}

function reach(module) {
  const name = `${module}.d.ts`;
  if (reached.has(name)) return;
  reached.add(name);
  const file = path.join(TYPES, name);
  const text = readFileSync(file, "utf-8");
  for (const [, , asked] of text.matchAll(IMPORT))
    reach(path.posix.join(path.posix.dirname(module), asked));
  writeFileSync(file, text.replace(IMPORT, "$1$2.js$3"));
}
