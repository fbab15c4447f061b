/** Vite plugin: one file with the licences of all that is in the build. */

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Plugin } from "vite";
import { ARE_BUNDLED, MODELS, names } from "./models.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const ASSETS = "src/espressivo/assets";
const WEIGHTS = "LICENSES/LicenseRef-espressivo-weights.txt";

// What, where from, and the licence's text; packages with WebAssembly come without theirs.
const PARTS: [name: string, source: string, file: string][] = [
  [
    "Whisper's encoder, in espressivo-base and espressivo-tiny",
    "github.com/openai/whisper",
    `${ASSETS}/whisper-LICENSE.txt`,
  ],
  ["Silero VAD", "github.com/snakers4/silero-vad", `${ASSETS}/silero-vad-LICENSE.txt`],
  ["onnxruntime-web", "github.com/microsoft/onnxruntime", "LICENSES/onnxruntime-web.txt"],
  [
    "Mediabunny, unchanged; its source",
    "github.com/Vanilagy/mediabunny",
    "LICENSES/mediabunny.txt",
  ],
  ["Comlink", "github.com/GoogleChromeLabs/comlink", "LICENSES/comlink.txt"],
  [
    "opus-decoder, mpg123-decoder, @wasm-audio-decoders/flac and ogg-vorbis",
    "github.com/eshaz/wasm-audio-decoders",
    "LICENSES/wasm-audio-decoders.txt",
  ],
  ["libopus, libFLAC, libogg, libvorbis, in these", "xiph.org", "LICENSES/xiph.txt"],
  ["libmpg123, in mpg123-decoder", "mpg123.org", "LICENSES/mpg123.txt"],
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
        // Models of one's own have terms of their own.
        ...(ARE_BUNDLED ? [["The models of espressivo", "", WEIGHTS]] : []),
        ...(await names()).map((name) => [
          `${name}: what it was made from`,
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
