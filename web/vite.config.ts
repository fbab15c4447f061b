import path from "node:path";
import { defineConfig } from "vite";
import { compressed } from "./build/compressed.ts";
import { licences } from "./build/licences.ts";
import { models } from "./build/models.ts";
import { offline } from "./build/offline.ts";
import { UNUSED } from "./build/unused.ts";

const here = (file: string) => path.resolve(import.meta.dirname, file);

/** The app: a folder for any static host, at any path. */
export default defineConfig({
  base: "./",
  plugins: [compressed(), licences(), models(), offline()],
  resolve: { alias: UNUSED },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the policy forbids data: URLs for all but pictures
    rolldownOptions: {
      checks: { pluginTimings: false },
      input: {
        index: here("index.html"),
        example: here("example.html"),
        sw: here("src/sw.ts"),
      },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
