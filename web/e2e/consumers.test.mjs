// The npm package as others use it: packed, unpacked into their node_modules, and built by
// their bundlers, or by none; in Node; and its types.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import webpack from "webpack";
import * as e2e from "./harness.mjs";

const WEB = path.join(e2e.ROOT, "web");
const BIN = path.join(WEB, "node_modules");
const OWN_DECODERS = "delete globalThis.AudioDecoder;";

const skip = e2e.missing();
const app = e2e.scratch();
const lib = path.join(app, "node_modules/espressivo/lib");
const run = promisify(execFile);
let browser;
let expected;

before(async () => {
  const options = { cwd: WEB, stdio: "pipe" };
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", app], options);
  const tarball = path.join(app, readdirSync(app)[0]);
  cpSync(path.join(import.meta.dirname, "consumers"), app, { recursive: true });
  const into = path.dirname(lib);
  mkdirSync(into, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", into, "--strip-components=1"]);
  symlinkSync(path.join(lib, "models"), path.join(app, "models"));
  if (skip) return;
  browser = await e2e.launch();
  [expected] = await e2e.analysedInPython([e2e.NOTE], ["--model", "espressivo-tiny"]);
});
after(() => browser?.close());

test("the scripts that bundlers copy as they are import nothing by name", () => {
  assert.deepEqual(readdirSync(path.join(lib, "assets")).sort(), [
    "decoders.js",
    "ort-wasm-simd-threaded.wasm",
    "silero_vad.onnx",
    "worker.js",
  ]);
  for (const name of ["worker.js", "decoders.js"]) {
    const code = readFileSync(path.join(lib, "assets", name), "utf-8");
    const names =
      /.{9}(import\.meta|\bimport\s*\(?["'`]|[^-]\bfrom\s*["'`]|\bexport\s*[{*])/;
    assert.equal(names.exec(code)?.[0], undefined, name);
  }
  // Bundlers of servers look for what stands beside import.meta.url, and fail without it.
  const node = readFileSync(path.join(lib, "node.js"), "utf-8");
  assert.equal(/new \w+\([^;\n]{0,99}import\.meta/.exec(node)?.[0], undefined);
});

test("without a bundler", { skip }, () => requireWorks(app));

test("in Vite's development server", { skip }, async () => {
  const port = await e2e.freePort();
  const args = [path.join(BIN, "vite/bin/vite.js"), "--port", port, "--strictPort"];
  const server = spawn(process.execPath, [...args, "--host", "127.0.0.1"], { cwd: app });
  try {
    await e2e.listening(port);
    await requireAgrees(`http://127.0.0.1:${port}/`);
  } finally {
    server.kill();
  }
});

test("in a build of Vite", { skip }, async () => {
  const args = [path.join(BIN, "vite/bin/vite.js"), "build", "--outDir", "vite"];
  execFileSync(process.execPath, [...args, "--logLevel", "error"], { cwd: app });
  await requireWorks(served("vite"));
});

test("in a build of webpack; also with the package's own decoders", { skip }, async () => {
  const { default: config } = await import(path.join(app, "webpack.config.mjs"));
  const stats = await promisify(webpack)({ context: app, ...config });
  assert.equal(stats.toString({ all: false, errors: true, warnings: true }), "");
  await requireWorks(served("webpack", "index.html"));
  await requireWorks(path.join(app, "webpack"), OWN_DECODERS);
});

test("in a build of esbuild, beside which lib/assets is copied", { skip }, async () => {
  const args = ["main.js", "--bundle", "--format=esm", "--outdir=esbuild"];
  execFileSync(path.join(BIN, ".bin/esbuild"), [...args, "--log-level=warning"], {
    cwd: app,
  });
  symlinkSync(path.join(lib, "assets"), path.join(app, "esbuild/assets"));
  await requireWorks(served("esbuild", "index.html"));
});

test("in Node, with a recording by path and by its bytes", { skip }, async () => {
  const args = [path.join(app, "node.mjs"), e2e.NOTE];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: app });
  const [reports, ...faults] = stdout.trim().split("\n");
  const [byPath, byBytes] = JSON.parse(reports);
  assert.equal(byPath.recording, path.basename(e2e.NOTE));
  for (const [name, report] of Object.entries({ byPath, byBytes }))
    e2e.requireSame(report, expected, name);
  assert.deepEqual(faults, [
    "missing.wav: no such file; pass the path of a recording",
    ".: is a folder; pass the path of a recording",
    "a profile cannot be string; pass what Profile.parse or Profile.create returns",
    "a model cannot be undefined; pass the name of a bundled model, or the path or URL of a folder",
  ]);
  assert.equal(stderr, "");
});

test("in Node, the code of the readme", { skip }, async () => {
  const given = `
    import assert from "node:assert";
    import { openAsBlob } from "node:fs";
    const file = await openAsBlob("note.m4a"), film = await openAsBlob("film.mka");
    const settingFile = await openAsBlob("hotline.json"), call = file;
    const controller = new AbortController(), context = { sampleRate: 48_000 };
    const left = new Float32Array(48_000), right = left, chunk = left;
    let drawn = 0;
    const draw = (estimates, done_s) => (drawn = done_s);`;
  const checks = `
    assert.ok(Math.abs(drawn - 6) < 0.1);
    assert.equal(report.emotion, "neutral");
    assert.ok(report.summary && report.loudness.length > 50);
    assert.equal(judged.adaptation.speaker, "me");`;
  e2e.python(path.join(import.meta.dirname, "readme_files.py"), app);
  const readme = readFileSync(path.join(path.dirname(lib), "README.md"), "utf-8");
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map((block) => block[1]);
  const [code] = blocks.filter((block) => block.includes("Profile"));
  const local = code.replaceAll("/models/", "models/").replaceAll("/recordings/", "");
  writeFileSync(path.join(app, "readme.mjs"), given + local + checks);
  await run(process.execPath, ["readme.mjs"], { cwd: app });
});

test("in TypeScript, as Node resolves modules", async () => {
  const args = "--noEmit --strict --target es2022 --module node16 --skipDefaultLibCheck";
  const tsc = [path.join(BIN, "typescript/bin/tsc"), ...args.split(" "), "types.ts"];
  await run(process.execPath, tsc, { cwd: app }).catch(({ stdout }) => assert.fail(stdout));
});

/** Complete the folder of a build with what its host has besides; return its path. */
function served(build, ...files) {
  const site = path.join(app, build);
  for (const file of files) cpSync(path.join(app, file), path.join(site, file));
  symlinkSync(path.join(app, "models"), path.join(site, "models"));
  return site;
}

async function requireWorks(site, beforeWorker = "") {
  const host = await e2e.plainHost(site);
  try {
    await requireAgrees(host.url, beforeWorker);
  } finally {
    host.stop();
  }
}

/**
 * Analyse the note in a page, and require what Python says of it.
 *
 * @param beforeWorker Code to run in the worker before its own.
 */
async function requireAgrees(url, beforeWorker = "") {
  const context = await browser.newContext();
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  if (beforeWorker) {
    await context.route("**/*.js", async (route) => {
      const response = await route.fetch();
      const code = await response.text();
      const isWorker = code.includes("espressivoListens");
      await route.fulfill({ response, body: (isWorker ? beforeWorker : "") + code });
    });
  }
  await page.goto(url);
  await page.waitForSelector("html[data-ready=true]", { timeout: 90_000 });
  const report = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return window.analyze(new File([bytes], "note.m4a"));
  }, e2e.bytesOf(e2e.NOTE));
  e2e.requireSame(report, expected, "note");
  assert.deepEqual(problems, []);
  await context.close();
}
