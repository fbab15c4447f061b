/**
 * Vite plugin: leave `new URL("file", import.meta.url)` in the built package as it is, so
 * that the bundlers of those who use it find the worker and the runtime too.
 */

import type { Plugin } from "vite";

// What Vite makes of it when the base is relative.
const NESTED =
  /new URL\(new URL\([`"']([^`"']+)[`"'],\s*import\.meta\.url\)\.href,\s*[`"']{2}\s*\+\s*import\.meta\.url\)/g;

export function plainUrls(): Plugin {
  return {
    name: "espressivo:plain-urls",
    enforce: "post",
    generateBundle(_, bundle) {
      let n = 0;
      const plain = (code: string) =>
        code.replace(NESTED, (_, file) => {
          n += 1;
          return `new URL("${file}", import.meta.url)`;
        });
      for (const part of Object.values(bundle)) {
        if (part.type === "chunk") part.code = plain(part.code);
        else if (part.fileName.endsWith(".js")) part.source = plain(String(part.source));
      }
      if (n < 3)
        this.error("the worker and the runtime are referred to in another way now");
    },
  };
}
