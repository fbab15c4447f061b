import path from "node:path";
import { defineConfig } from "vite";
import { licences } from "./build/licences.ts";
import { models } from "./build/models.ts";
import { plainUrls } from "./build/plain-urls.ts";

/** The npm package: one module that finds its worker, runtime and models beside it. */
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [licences(), models(), plainUrls()],
  worker: {
    format: "es",
    // Modules that chunks share are a chunk of their own. Inside the worker's entry, the
    // runtime's chunk would import the entry, which WebKit then evaluates a second time.
    rolldownOptions: {
      output: {
        codeSplitting: { groups: [{ name: "shared", test: /__vite-browser-external/ }] },
      },
    },
  },
  build: {
    target: "es2022",
    outDir: "lib",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { espressivo: path.resolve(import.meta.dirname, "src/espressivo/index.ts") },
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "[name].js" },
    },
  },
});
