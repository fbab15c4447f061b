/**
 * Vite plugins for the npm package, whose files other bundlers copy as they are and may
 * rename: each is a script that imports nothing by a name of its own.
 */

import path from "node:path";
import { build, type Plugin } from "vite";

const ASSET_URL = /new URL\([`"']([^`"']+)[`"'],\s*import\.meta\.url\)\.href/g;
const DECODERS = "assets/decoders.js";
const PLACEHOLDER = /["'`]__DECODERS__["'`]/;
const GLOBAL = "espressivoDecoders"; // the variable that the decoders' script sets
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

/**
 * The decoders are a script that sets a variable, instead of a chunk.
 *
 * @param url Expression for the script's URL.
 */
function decodersAt(url: string): Plugin {
  const id = "./decoders.js";
  const asked = /\bimport\([`"']\.\/decoders\.js[`"']\)/;
  return {
    name: "espressivo:decoders-at",
    enforce: "pre",
    resolveId: (source) => (source === "./decoders" ? { id, external: true } : null),
    renderChunk(code) {
      if (!asked.test(code)) this.error("the decoders are imported in another way now");
      return code.replace(asked, `import(${url}).then(()=>globalThis.${GLOBAL})`);
    },
  };
}

/** In the package's worker, which is given their URL behind the `#` of its own. */
export function decodersByUrl(): Plugin {
  return decodersAt("self.location.hash.slice(1)");
}

/** onnxruntime-web names files beside itself, which bundlers of servers would look for. */
function withoutItsUrl(): Plugin {
  return {
    name: "espressivo:without-its-url",
    enforce: "pre",
    transform: {
      filter: { id: /onnxruntime-web/ },
      handler: (code) => code.replaceAll("import.meta.url", '"file:///"'),
    },
  };
}

/** The decoders' script, and the module for Node. */
export function otherFiles(): Plugin {
  return {
    name: "espressivo:other-files",
    apply: "build",
    async closeBundle() {
      const { root, build: settings, resolve } = this.environment.config;
      const source = (file: string) => path.resolve(root, "src/espressivo", file);
      const out = {
        outDir: path.resolve(root, settings.outDir),
        emptyOutDir: false,
      };
      const same = {
        configFile: false,
        publicDir: false,
        logLevel: "warn",
        resolve: { alias: resolve.alias },
      } as const;
      await build({
        ...same,
        build: {
          ...out,
          minify: true,
          target: settings.target,
          lib: {
            entry: source("audio/decoders.ts"),
            formats: ["iife"],
            name: GLOBAL,
            fileName: () => DECODERS,
          },
          rolldownOptions: { output: { footer: `globalThis.${GLOBAL}=${GLOBAL};` } },
        },
      });
      await build({
        ...same,
        plugins: [decodersAt(`"./${DECODERS}"`), withoutItsUrl()],
        ssr: { noExternal: true },
        build: {
          ...out,
          // Node prints the line that throws an error which nobody catches.
          minify: false,
          target: "node20.19",
          ssr: source("node.ts"),
          rolldownOptions: { output: { entryFileNames: "node.js" } },
        },
      });
    },
  };
}
