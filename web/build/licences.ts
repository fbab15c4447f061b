/** Vite plugin: one file with the licences of all that is in the build. */

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "vite";
import { MODELS, names } from "./models.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const ASSETS = "src/espressivo/assets";

// What, where from, and the licence's text; onnxruntime-web comes without it.
const PARTS: [name: string, source: string, file: string][] = [
  [
    "Whisper's encoder, from which the models were made",
    "github.com/openai/whisper",
    `${ASSETS}/whisper-LICENSE.txt`,
  ],
  ["Silero VAD", "github.com/snakers4/silero-vad", `${ASSETS}/silero-vad-LICENSE.txt`],
  [
    "onnxruntime-web",
    "github.com/microsoft/onnxruntime",
    "web/licences/onnxruntime-web.txt",
  ],
  [
    "Mediabunny, unchanged; its source",
    "github.com/Vanilagy/mediabunny",
    "web/node_modules/mediabunny/LICENSE",
  ],
  ["Comlink", "github.com/GoogleChromeLabs/comlink", "web/node_modules/comlink/LICENSE"],
];

export function licences(): Plugin {
  let out = "";
  return {
    name: "espressivo:licences",
    configResolved(config) {
      out = path.resolve(config.root, config.build.outDir);
    },
    async writeBundle() {
      const parts = [
        ["espressivo (the program)", "", "LICENSE"],
        ...(await names()).map((name) => [
          `${name} (the model)`,
          "",
          path.join(MODELS, name, "LICENSES/TRAINING-DATA.md"),
        ]),
        ...PARTS,
      ];
      const texts = parts.map(async ([name, source, file]) => {
        const head = source ? `${name}: ${source}` : name;
        const text = await readFile(path.resolve(ROOT, file), "utf-8");
        return `${head}\n${"=".repeat(head.length)}\n\n${text.trim()}\n`;
      });
      await writeFile(
        path.join(out, "licences.txt"),
        (await Promise.all(texts)).join("\n\n"),
      );
    },
  };
}
