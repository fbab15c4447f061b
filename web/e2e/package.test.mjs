// The npm package, as others use it: with a bundler of their own, and with none.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const WEB = path.join(e2e.ROOT, "web");
const PAGE = `
import { AudioError, loadModel } from "MODULE";
const analyzer = await loadModel("MODELS/espressivo-tiny/");
window.analyse = async (file) => (await analyzer.analyze(file)).toDict();
window.live = async (samples) => {
  const stream = analyzer.stream({ hop_s: 1 });
  const found = { windows: 0, provisional: 0 };
  for (let at = 0; at < samples.length; at += 1000) {
    const heard = await stream.push(samples.slice(at, at + 1000));
    found.windows += heard.estimates.length;
    found.provisional += heard.provisional ? 1 : 0;
  }
  return { ...found, report: (await stream.finish()).toDict() };
};
window.whenClosed = async (samples) => {
  const other = await loadModel("MODELS/espressivo-tiny/");
  const cut = other.analyze(samples);
  other.close();
  return cut.then(() => "finished", (error) => error.name);
};
window.whenCancelled = (samples) => {
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  const cut = analyzer.analyze(samples, { signal: controller.signal, onProgress });
  return cut.then(() => "finished", (error) => error.name);
};
window.wrong = () => analyzer.analyze(new Blob(["words"])).catch((e) => e instanceof AudioError);
document.documentElement.dataset.ready = "true";
`;

const skip = e2e.missing();
const folder = e2e.scratch();
let browser;

before(async () => {
  if (skip) return;
  browser = await e2e.launch();
  const options = { cwd: WEB, stdio: "pipe" };
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], options);
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  mkdirSync(path.join(folder, "app/node_modules"), { recursive: true });
  execFileSync("tar", ["-xzf", path.join(folder, tarball), "-C", folder]);
});
after(() => browser?.close());

test("without a bundler", { skip }, async () => {
  const site = path.join(folder, "plain");
  cpSync(path.join(folder, "package/lib"), path.join(site, "lib"), { recursive: true });
  writeSite(site, "page.js", "./lib/espressivo.js", "lib/models");
  await requireWorks(site);
});

test("in someone else's Vite app", { skip }, async () => {
  const app = path.join(folder, "app");
  cpSync(path.join(folder, "package"), path.join(app, "node_modules/espressivo"), {
    recursive: true,
  });
  cpSync(path.join(folder, "package/lib/models"), path.join(app, "public/models"), {
    recursive: true,
  });
  writeSite(app, "page.ts", "espressivo", "/models");
  const vite = path.join(WEB, "node_modules/vite/bin/vite.js");
  execFileSync(process.execPath, [vite, "build", "--logLevel", "error"], { cwd: app });
  await requireWorks(path.join(app, "dist"));
});

function writeSite(site, script, module, models) {
  mkdirSync(site, { recursive: true });
  const text = PAGE.replace("MODULE", module).replaceAll("MODELS", models);
  writeFileSync(path.join(site, script), text);
  const tag = `<script type="module" src="./${script}"></script>`;
  writeFileSync(path.join(site, "index.html"), `<!doctype html><title>x</title>${tag}`);
}

async function requireWorks(site) {
  const host = await e2e.plainHost(site);
  try {
    const { page, problems } = await e2e.openApp(browser, host.url);
    const note = await e2e.bytesOf(e2e.NOTE);
    const [expected] = await e2e.analysedInPython([e2e.NOTE]);
    const report = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      return window.analyse(new File([bytes], "note.m4a"));
    }, note);
    e2e.requireSame(report, expected, "note");

    // Live, a thousand samples at a time, it comes to the same windows.
    const samples = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const context = new OfflineAudioContext(1, 1, 16_000);
      const buffer = await context.decodeAudioData(bytes.buffer);
      window.samples = buffer.getChannelData(0);
      return window.samples.length;
    }, note);
    assert.ok(samples > 24 * 16_000);
    const live = await page.evaluate(() => window.live(window.samples));
    assert.equal(live.report.windows.length, expected.windows.length);
    assert.ok(live.windows >= expected.windows.length - 1); // the last comes at the end
    assert.ok(live.provisional > 10, `${live.provisional} provisional estimates`);
    assert.equal(live.report.emotion, expected.emotion);

    assert.equal(await page.evaluate(() => window.wrong()), true);
    for (const way of ["whenClosed", "whenCancelled"]) {
      const end = await page.evaluate((name) => window[name](window.samples), way);
      assert.equal(end, "AbortError", way);
    }
    assert.deepEqual(problems, []);
  } finally {
    host.stop();
  }
}
