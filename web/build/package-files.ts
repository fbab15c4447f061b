/**
 * Vite plugins for the npm package, whose files other bundlers copy as they are and may
 * rename: each is a script that imports nothing by a name of its own.
 */

import path from "node:path";
import { build, type Plugin } from "vite";

const ASSET_URL = /new URL\([`"']([^`"']+)[`"'],\s*import\.meta\.url\)\.href/g;
const DECODERS = "assets/decoders.js";
const PLACEHOLDER = /["'`]__DECODERS__["'`]/;
const N_ASSETS = 3; // the worker, the runtime, the detector

/** URLs as `new URL("./file", import.meta.url)`, which every bundler finds. */
export function assetUrls(): Plugin {
  // Bundles of another format than ES modules have no `import.meta.url`.
  const urlOf = (file: string) =>
    `import.meta.url&&new URL("./${file}",import.meta.url).href`;
  return {
    name: "espressivo:asset-urls",
    enforce: "post",
    generateBundle(_, bundle) {
      const { code } = bundle["espressivo.js"] as { code: string };
      const n = code.match(ASSET_URL)?.length;
      if (n !== N_ASSETS || !PLACEHOLDER.test(code))
        this.error("the package's files are referred to in another way now");
      Object.assign(bundle["espressivo.js"], {
        code: code
          .replace(ASSET_URL, (_, file) => urlOf(file))
          .replace(PLACEHOLDER, urlOf(DECODERS)),
      });
    },
  };
}

/** In the package's worker: the decoders come from the URL behind the `#` of its own. */
export function decodersByUrl(): Plugin {
  const script = "./decoders.js";
  return {
    name: "espressivo:decoders-by-url",
    enforce: "pre",
    resolveId: (source) =>
      source === "./decoders" ? { id: script, external: true } : null,
    renderChunk(code) {
      const asked = /\bimport\([`"']\.\/decoders\.js[`"']\)/;
      if (!asked.test(code)) this.error("the decoders are imported in another way now");
      const loaded =
        "import(/* webpackIgnore: true */ /* @vite-ignore */ self.location.hash.slice(1))";
      return code.replace(asked, `${loaded}.then(()=>globalThis.espressivoDecoders)`);
    },
  };
}

/** The decoders as a script that sets `espressivoDecoders`. */
export function decoders(): Plugin {
  const name = "espressivoDecoders";
  return {
    name: "espressivo:decoders",
    apply: "build",
    async closeBundle() {
      const { root, build: settings } = this.environment.config;
      const entry = path.resolve(root, "src/espressivo/audio/decoders.ts");
      await build({
        configFile: false,
        publicDir: false,
        logLevel: "warn",
        build: {
          target: settings.target,
          outDir: path.resolve(root, settings.outDir),
          emptyOutDir: false,
          lib: { entry, formats: ["iife"], name, fileName: () => DECODERS },
          rolldownOptions: { output: { footer: `globalThis.${name}=${name};` } },
        },
      });
    },
  };
}
