// Times ONNX graphs in onnxruntime-web as a browser without threads runs them:
// WebAssembly on one thread. Graphs take turns, so that a busy machine slows all alike.
//
//   node time.mjs [--rounds 9] --samples FILE.f32 MODEL.onnx...
//
// FILE.f32 holds raw little-endian float32 samples at 16 kHz. Prints JSON: seconds and
// probabilities of each graph, and its median ratio to the first.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-web/wasm";

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "9" }, samples: { type: "string" } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
if (!values.samples || positionals.length === 0 || !(rounds >= 1)) {
  console.error("usage: node time.mjs [--rounds N] --samples FILE.f32 MODEL.onnx...");
  process.exit(2);
}
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const bytes = readFileSync(values.samples);
const samples = new Float32Array(
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
);
const graphs = [];
for (const path of positionals) {
  const session = await ort.InferenceSession.create(readFileSync(path), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  graphs.push({ path, session, seconds: [], probabilities: await answer(session) });
}
for (let round = 0; round < rounds; round++) {
  for (const graph of graphs) {
    const began = performance.now();
    await answer(graph.session);
    graph.seconds.push((performance.now() - began) / 1000);
  }
}

const models = graphs.map(({ path, seconds, probabilities }) => ({
  path,
  seconds,
  median_s: median(seconds),
  ratio: median(seconds.map((s, round) => s / graphs[0].seconds[round])),
  probabilities,
}));
console.log(
  JSON.stringify({
    onnxruntime_web: ort.env.versions.web,
    node: process.version,
    threads: ort.env.wasm.numThreads,
    models,
  }),
);

async function answer(session) {
  const input = new ort.Tensor("float32", samples, [1, samples.length]);
  const found = await session.run({ [session.inputNames[0]]: input });
  return Array.from(found[session.outputNames[0]].data);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
