// Measures espressivo and transformers.js in headless Chromium; run.py calls it.
//
//   node measure.mjs speed --samples FILE.f32 --library DIR --model DIR ... --peer DIR
//                          [--rounds 5]
//   node measure.mjs app --url URL --model NAME [--opens 5]
//   node measure.mjs memory --url URL FILE...
//
// Prints JSON; progress goes to standard error.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureApp } from "./app.mjs";
import { versionOfChromium } from "./chromium.mjs";
import { measureMemory } from "./memory.mjs";
import { measureSpeed } from "./speed.mjs";

const string = { type: "string" };
const { values, positionals } = parseArgs({
  options: {
    samples: string,
    library: string,
    model: { type: "string", multiple: true, default: [] },
    peer: string,
    rounds: { type: "string", default: "5" },
    url: string,
    opens: { type: "string", default: "5" },
  },
  allowPositionals: true,
});
const measurements = {
  speed: () => measureSpeed(values, Number(values.rounds)),
  app: () => measureApp(values.url, values.model[0], Number(values.opens)),
  memory: () => measureMemory(values.url, positionals.slice(1)),
};
const measure = measurements[positionals[0]];
if (!measure) {
  console.error("usage: node measure.mjs speed|app|memory OPTIONS; see the head of this file");
  process.exit(2);
}
const found = await measure();
const versions = {
  chromium: await versionOfChromium(),
  node: process.version,
  "@huggingface/transformers": versionOf("@huggingface/transformers"),
  "onnxruntime-web of transformers.js": versionOf("onnxruntime-web"),
  "playwright-core": versionOf("playwright-core"),
};
console.log(JSON.stringify({ versions, ...found }));

function versionOf(name) {
  const path = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf-8")).version;
}
