import path from "node:path";
import { defineConfig } from "vite";
import { licences } from "./build/licences.ts";
import { models } from "./build/models.ts";
import { assetUrls, decodersByUrl, otherFiles } from "./build/package-files.ts";
import { UNUSED } from "./build/unused.ts";

const FILES = { assetFileNames: "assets/[name][extname]" };

/**
 * The npm package: one module that finds the files of lib/assets beside it. The worker is a
 * script that imports nothing, since bundlers copy it as it is and may rename it.
 */
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [licences(), models(), assetUrls(), otherFiles()],
  resolve: { alias: UNUSED },
  worker: {
    format: "iife",
    plugins: () => [decodersByUrl()],
    rolldownOptions: { output: { entryFileNames: "assets/[name].js", ...FILES } },
  },
  build: {
    target: "es2022",
    outDir: "lib",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      checks: { pluginTimings: false },
      input: { espressivo: path.resolve(import.meta.dirname, "src/espressivo/index.ts") },
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "[name].js", ...FILES },
    },
  },
});
