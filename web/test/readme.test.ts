/** TypeScript and JavaScript of the pages compile against the package's types. */

import { readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { ROOT } from "./python";

/** What the pages' code takes from around it, by page. */
const GIVEN: Record<string, string> = {
  "web/README.md": `
    declare const file: File, film: File, call: Blob, settingFile: Blob;
    declare const controller: AbortController, context: AudioContext;
    declare const left: Float32Array, right: Float32Array, chunk: Float32Array;
    declare function draw(estimates: readonly Estimate[], done: number, total: number | null): void;`,
  "docs/deploy.md": `
    declare const file: File, chunk: Float32Array, context: AudioContext;`,
  "docs/api.md": `
    declare const blocks: Int16Array<ArrayBuffer>[], token: string;`,
};

const WEB = path.join(ROOT, "web");

/** The code blocks of a page, and scripts of its HTML, at the lines of the page. */
function blocksOf(page: string): string[] {
  const text = readFileSync(path.join(ROOT, page), "utf-8");
  const blocks = /^```(?:ts|js|html\n<script type="module">)\n(.*?)^(?:```|<\/script>)/gms;
  return [...text.matchAll(blocks)].map((match) => {
    const code = match[1] ?? "";
    const above = text.slice(0, match.index + match[0].indexOf(code)).split("\n");
    return (
      "\n".repeat(above.length - 1) + code.replace("./lib/espressivo.js", "espressivo")
    );
  });
}

/** Code that compiles if the README lists the attributes that there are, and no others. */
function attributes(): string {
  const text = readFileSync(path.join(WEB, "README.md"), "utf-8");
  const table = text.split("## All attributes")[1].split("\n## ")[0];
  const listed = new Map<string, string[]>();
  let name = "";
  for (const [, first, names] of table.matchAll(/^\| (.*?) ?\| (`.*?) \|/gm)) {
    name = first ? first.replaceAll("`", "") : name;
    const more = [...names.matchAll(/`(\w+)`/g)].map((match) => match[1]);
    listed.set(name, [...(listed.get(name) ?? []), ...more]);
  }
  const kinds = [...listed].map(([kind, names]) => {
    const values = names.map((each) => `${each}: 0`).join(", ");
    return `export const of${kind}: Record<keyof import("espressivo").${kind}, 0> = { ${values} };`;
  });
  return kinds.join("\n");
}

/** The complaints of the compiler about `files`, name and text. */
function compile(files: Map<string, string>): string[] {
  const file = path.join(WEB, "tsconfig.json");
  const { config } = ts.readConfigFile(file, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, WEB);
  options.noUnusedLocals = false;
  options.paths = { espressivo: [path.join(WEB, "src/espressivo/index.ts")] };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  host.getSourceFile = (name, version) => {
    const text = files.get(name);
    if (text === undefined) return getSourceFile(name, version);
    return ts.createSourceFile(name, text, version);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    return found.map((one) => {
      const line = source?.getLineAndCharacterOfPosition(one.start ?? 0).line ?? 0;
      const message = ts.flattenDiagnosticMessageText(one.messageText, " ");
      return `${path.basename(name)}:${line + 1} ${message}`;
    });
  });
}

test("the pages' code compiles, and a wrong name would not", () => {
  const files = new Map<string, string>();
  for (const [page, given] of Object.entries(GIVEN)) {
    const names = given
      .replaceAll("\n", " ")
      .replaceAll("Estimate", 'import("espressivo").Estimate');
    blocksOf(page).forEach((code, n) => {
      files.set(
        path.join(WEB, `${page.replaceAll("/", "-")}.${n}.ts`),
        `export {};${names}${code}`,
      );
    });
  }
  expect(files.size).toBeGreaterThan(Object.keys(GIVEN).length - 1);
  files.set(path.join(WEB, "attributes.ts"), attributes());
  const wrong = path.join(WEB, "wrong.ts");
  files.set(
    wrong,
    'import { loadModel } from "espressivo";\n(await loadModel("/")).analyse("/");',
  );

  const [said, ...rest] = compile(files).reverse();

  expect(said).toMatch(/^wrong.ts:2 Property 'analyse' does not exist on type 'Analyzer'/);
  expect(rest).toEqual([]);
});
