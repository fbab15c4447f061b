/** The graphs of the Python package, in onnxruntime-web as browsers without threads. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { type ModelCard, readCard } from "../src/espressivo/card";
import { Classifier } from "../src/espressivo/classifier";
import { configure, type Graph, openGraph } from "../src/espressivo/session";
import { sha256Of } from "../src/espressivo/sha256";
import { ROOT } from "./python";

export const ASSETS = path.join(ROOT, "src/espressivo/assets");
export const MODEL = path.join(ASSETS, "models/espressivo-tiny");

const RUNTIME = path.join(
  ROOT,
  "web/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
);
configure(readFileSync(RUNTIME), 1);

export function bytesOf(file: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(readFileSync(file));
}

export function bundledCard(model = MODEL): ModelCard {
  const file = path.join(model, "model.json");
  return readCard(readFileSync(file, "utf-8"), file);
}

/** Open a graph that no card names. */
export async function openFile(
  bytes: Uint8Array<ArrayBuffer>,
  name: string,
): Promise<Graph> {
  return openGraph(bytes, await sha256Of(bytes), name);
}

export function openVad(): Promise<Graph> {
  return openFile(bytesOf(path.join(ASSETS, "silero_vad.onnx")), "silero_vad.onnx");
}

export async function openModel(model = MODEL): Promise<Classifier> {
  const card = bundledCard(model);
  const bytes = bytesOf(path.join(model, "model.onnx"));
  return new Classifier(card, await openGraph(bytes, card.sha256, "model.onnx"));
}
