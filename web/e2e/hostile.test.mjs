// Files that somebody made to do harm: their names, and model folders that want out.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const NAMES = {
  markup: "</title><img src=x onerror=document.title='run'><script>alert(1)</script>.m4a",
  direction: "note\u202e\u2066\u061cgpj.m4a",
  lines: "a\nb\r\u2028\u0000\u001b[31m.m4a",
  long: `${"long".repeat(2500)}.m4a`,
  dots: "..m4a",
};
const ACTING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

const skip = e2e.missing();
const folder = e2e.scratch();
let servers;
let browser;
let blockade;

// Model folders with right hashes, whose weights are elsewhere.
const WRITE = `
import hashlib, json, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.odd_graphs import external_weight, foreign_graph
to, model = Path(sys.argv[1]), Path(sys.argv[2])
card = json.loads((model / "model.json").read_text("utf-8"))
for name, location in {
    "far": "http://example.org/weights.bin", "near": "/weights.bin", "beside": "weights.bin",
}.items():
    graph = foreign_graph(external_weight(location, 1000))
    odd = card | {"adaptation": None, "dimensions": None, "name": "<img src=http://example.org/>",
                  "sha256": hashlib.sha256(graph).hexdigest()}
    (to / name).mkdir()
    (to / name / "model.onnx").write_bytes(graph)
    (to / name / "weights.bin").write_bytes(bytes(4000))
    (to / name / "model.json").write_text(json.dumps(odd))
`;

before(async () => {
  if (skip) return;
  e2e.python("-c", WRITE, folder, e2e.MODEL, e2e.ROOT);
  blockade = await e2e.blockade();
  servers = [await e2e.serve(), await e2e.serve()];
  browser = await e2e.launch([`--proxy-server=127.0.0.1:${blockade.port}`]);
});
after(async () => {
  await browser?.close();
  for (const server of servers ?? []) await server.stop();
  blockade?.stop();
});

for (const [kind, name] of Object.entries(NAMES)) {
  test(`a name of ${kind} stays text, also in downloads and reports`, {
    skip,
  }, async () => {
    const { context, page, problems } = await e2e.openApp(browser, servers[0].url);
    const heard = [];
    page.on("dialog", (dialog) => heard.push(dialog.message()));
    const buffer = readFileSync(e2e.NOTE);
    await page.setInputFiles("#file", { name, mimeType: "audio/mp4", buffer });
    await e2e.resultShown(page);

    const shown = await page.textContent("#result-name");
    assert.doesNotMatch(shown, ACTING);
    assert.ok(shown.length < 1000, `${shown.length} characters`);
    if (kind === "markup") assert.equal(shown, name);
    await requireText(page);
    for (const [button, suffix] of [
      ["#save-json", "json"],
      ["#save-csv", "csv"],
      ["#save-html", "html"],
      ["#save-picture", "png"],
    ]) {
      const coming = page.waitForEvent("download");
      await page.click(button);
      const download = await coming;
      const file = download.suggestedFilename();
      assert.ok(file.endsWith(`.${suffix}`), file);
      assert.ok(Buffer.byteLength(file) < 256, file);
      assert.doesNotMatch(file, ACTING);
      assert.doesNotMatch(file, /^\.|[/\\]/);
      if (suffix !== "html") continue;
      const saved = path.join(folder, `${kind}.html`);
      await download.saveAs(saved);
      requirePolicy(/http-equiv="Content-Security-Policy" content="([^"]*)"/, saved);
      const report = await context.newPage();
      report.on("dialog", (dialog) => heard.push(dialog.message()));
      report.on("pageerror", (error) => heard.push(String(error)));
      await report.goto(`file://${saved}`);
      assert.doesNotMatch(await report.textContent("#name"), ACTING);
      assert.doesNotMatch(await report.title(), /^run$/);
      await requireText(report);
    }
    assert.deepEqual([...heard, ...problems, ...blockade.asked], []);
    await context.close();
  });
}

/** No element came of a name, and nothing is wider than the page. */
async function requireText(page) {
  assert.equal(await page.locator("img[src=x]").count(), 0);
  const isWide = () => document.documentElement.scrollWidth > window.innerWidth;
  assert.equal(await page.evaluate(isWide), false);
}

/** A page's own policy allows neither scripts nor styles that stand in it unnamed. */
function requirePolicy(pattern, file) {
  const [, policy] = pattern.exec(readFileSync(file, "utf-8"));
  assert.match(policy, /^default-src 'none';/);
  assert.doesNotMatch(
    policy,
    /unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|\*|data:.*script/,
  );
}

test("the app runs no script that is put into its page", { skip }, async () => {
  const { page, context } = await e2e.openApp(browser, servers[0].url);
  const header = (await (await fetch(servers[0].url)).headers).get(
    "content-security-policy",
  );
  assert.doesNotMatch(header, /unsafe-inline/);
  const refused = await page.evaluate(
    () =>
      new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) =>
          resolve([event.effectiveDirective, event.blockedURI]),
        );
        const script = document.createElement("script");
        script.textContent = "document.documentElement.dataset.run = 'true'";
        document.body.append(script);
      }),
  );
  assert.deepEqual(refused, ["script-src-elem", "inline"]);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.run), undefined);
  await context.close();
});

for (const kind of ["far", "near", "beside"]) {
  test(`a dropped model whose weights are ${kind} asks nobody`, { skip }, async () => {
    const { page, context } = await e2e.openApp(browser, servers[0].url);
    await e2e.offlineReady(page);
    const before = servers[0].requests.length;

    await e2e.drop(page, [path.join(folder, kind)]);
    await page.waitForSelector("#alert:not([hidden])");

    assert.match(await page.textContent("#alert-title"), /model cannot be used/);
    assert.equal(await page.locator('img[src*="example.org"]').count(), 0);
    // The browser looks now and then whether the service worker is still the same.
    const asked = servers[0].requests
      .slice(before)
      .filter((line) => !/ \/sw\.js /.test(line));
    assert.deepEqual(asked, []);
    assert.deepEqual(blockade.asked, []);
    await context.close();
  });
}

test("profiles of another origin do not exist", { skip }, async () => {
  const { page, context } = await e2e.openApp(browser, servers[0].url);
  const names = (of) =>
    of.evaluate(() =>
      [...document.querySelectorAll("#speaker option")].map((o) => o.value),
    );
  await page.evaluate(() => {
    document.getElementById("voice").open = true;
  });
  await page.fill("#voice-name", "me");
  await page.click("#new-voice button");
  await page.waitForFunction(() => localStorage.getItem("espressivo.profile/me"));

  const other = await context.newPage();
  // Another port, and another name of the same machine, are other origins.
  for (const url of [servers[1].url, servers[0].url.replace("127.0.0.1", "localhost")]) {
    await other.goto(url);
    await other.waitForSelector("html[data-ready=true]");
    const texts = () => JSON.stringify({ ...localStorage });
    assert.doesNotMatch(await other.evaluate(texts), /profile\/|me/);
    assert.deepEqual((await names(other)).filter(Boolean), []);
  }
  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  assert.ok(await page.evaluate(() => localStorage.getItem("espressivo.profile/me")));
  await context.close();
});
