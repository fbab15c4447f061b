/**
 * Vite plugin: the app keeps the runtime compressed with gzip, as the worker fetches it.
 * Few static hosts compress WebAssembly, and a browser's cache stores it as it is.
 */

import path from "node:path";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const LEVEL = { level: constants.Z_BEST_COMPRESSION };

export function compressed(): Plugin {
  return {
    name: "espressivo:compressed",
    enforce: "post",
    apply: "build",
    async generateBundle(_, bundle) {
      const runtimes = Object.values(bundle).filter(({ fileName }) =>
        fileName.endsWith(".wasm"),
      );
      const [runtime] = runtimes;
      if (runtimes.length !== 1 || runtime?.type !== "asset")
        throw new Error(`the build has ${runtimes.length} runtimes, not one`);
      const source = await promisify(gzip)(runtime.source, LEVEL);
      const name = path.posix.basename(runtime.fileName);
      delete bundle[runtime.fileName];
      this.emitFile({ type: "asset", fileName: `${runtime.fileName}.gz`, source });
      for (const file of Object.values(bundle)) {
        // The worker is an asset of the page.
        if (file.type === "chunk") file.code = file.code.replaceAll(name, `${name}.gz`);
        else if (file.fileName.endsWith(".js"))
          file.source = file.source.toString().replaceAll(name, `${name}.gz`);
      }
    },
  };
}
