// The choice of a model, and what the page says where a model is not sure.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf-8");
const skip = e2e.missing();

// The same weights: never sure, sure of some windows, always, and without a threshold.
const thresholds = { never: 0.999, half: null, always: 0.2, untold: null };
let app;
let host;
let browser;

before(async () => {
  if (skip) return;
  const [{ windows }] = await e2e.analysedInPython(
    [e2e.NOTE],
    ["--model", "espressivo-tiny"],
  );
  thresholds.half = middle(windows.map(top));
  const cards = Object.entries(thresholds).map(([name, threshold]) => {
    return [name, { certainty: threshold && { threshold, accuracy: 0.8 } }];
  });
  app = e2e.built(Object.fromEntries(cards));
  host = await e2e.plainHost(app);
  browser = await e2e.launch();
});
after(async () => {
  await browser?.close();
  host?.stop();
});

/** The highest probability of a report or of one of its windows. */
function top({ probabilities }) {
  return Math.max(...Object.values(probabilities));
}

/** The middle of the widest gap between values. */
function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const gaps = sorted.slice(1).map((value, i) => [value - sorted[i], i]);
  const [gap, i] = gaps.sort(([a], [b]) => b - a)[0];
  assert.ok(gap > 2 * e2e.PROBABILITY, `the widest gap of ${sorted} is ${gap}`);
  return sorted[i] + gap / 2;
}

async function choose(page, name) {
  await page.selectOption("#model", name);
  await page.waitForFunction(
    (shown) => document.getElementById("model-now").textContent.startsWith(shown),
    `${name} `,
  );
  await page.waitForFunction(
    () => document.getElementById("status").textContent === "Ready.",
  );
}

test("a model is chosen, fetched then, remembered, and there without a network", {
  skip,
}, async () => {
  const own = await e2e.plainHost(app);
  const { context, page, problems } = await e2e.openApp(browser, own.url);
  const fetched = new Set();
  context.on("request", (request) => {
    const [, name] = /models\/(\w+)\/model\.onnx/.exec(request.url()) ?? [];
    if (name) fetched.add(name);
  });
  const options = await page.locator("#model option").allTextContents();
  const { models } = JSON.parse(
    readFileSync(path.join(app, "models/models.json"), "utf-8"),
  );
  models.sort((a, b) => a.bytes - b.bytes);
  assert.deepEqual(
    options,
    models.map(({ name, version, bytes }) => {
      return `${name} ${version}, ${(bytes / 1e6).toFixed(1)} MB`;
    }),
  );
  await e2e.offlineReady(page);
  assert.equal(await page.inputValue("#model"), "always"); // the first by name, without ours
  assert.equal(await page.evaluate(() => localStorage.getItem("espressivo.model")), null);
  assert.deepEqual([...fetched], ["always"]); // and no other for offline use

  await page.click("#models summary");
  await choose(page, "half");
  await e2e.offlineReady(page);
  assert.match(await page.textContent("#offline-note"), /half/);
  assert.deepEqual([...fetched], ["always", "half"]);
  const first = await e2e.analyse(page, e2e.NOTE);
  assert.equal(first.model.name, "half");

  own.stop();
  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  assert.equal(await page.inputValue("#model"), "half");
  assert.deepEqual(await e2e.analyse(page, e2e.NOTE), first);

  // Without a network one that was never fetched is refused, and the other one stays.
  await page.click("#models summary");
  await page.selectOption("#model", "never");
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await page.textContent("#alert-text"), /is the device offline\?$/);
  assert.equal(await page.inputValue("#model"), "half");
  assert.deepEqual(await e2e.analyse(page, e2e.NOTE), first);
  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  assert.equal(await page.inputValue("#model"), "half");
  assert.deepEqual(problems, []);
});

test("a download shows its progress; another choice ends it", { skip }, async () => {
  const stalling = await e2e.plainHost(app, "", /never.model\.onnx$/);
  const { page, problems } = await e2e.openApp(browser, stalling.url, {
    serviceWorkers: "block",
  });
  await page.click("#models summary");
  await page.selectOption("#model", "never");
  await page.waitForFunction(() => {
    const bar = document.getElementById("loading");
    return !bar.hidden && bar.value > 0.4 && bar.value < 0.6;
  });
  assert.match(await page.textContent("#status"), /^Loading never, \d\.\d MB…$/);
  assert.equal(await page.isDisabled("#record"), true);
  await choose(page, "half");
  assert.equal(await page.isDisabled("#record"), false);
  assert.equal(await page.isVisible("#loading"), false);
  assert.equal((await e2e.analyse(page, e2e.NOTE)).model.name, "half");
  assert.deepEqual(problems, []);
  stalling.stop();
});

test("a phone that saves data begins with the smallest model", { skip }, async () => {
  const context = await browser.newContext({ serviceWorkers: "block" });
  await context.addInitScript(() => {
    Object.defineProperty(navigator, "connection", { value: { saveData: true } });
  });
  const page = await context.newPage();
  await page.goto(host.url);
  await page.waitForSelector("html[data-ready=true]");
  const { models } = JSON.parse(
    readFileSync(path.join(app, "models/models.json"), "utf-8"),
  );
  const [{ name }] = models.sort((a, b) => a.bytes - b.bytes);
  assert.equal(await page.inputValue("#model"), name);
  await context.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`what is uncertain is shown as such, ${colorScheme}`, { skip }, async () => {
    const { page, problems } = await e2e.openApp(browser, host.url, { colorScheme });
    await page.click("#models summary");
    for (const [name, threshold] of Object.entries(thresholds)) {
      await choose(page, name);
      const report = await e2e.analyse(page, e2e.NOTE);
      const [whole, ...windows] = [report, ...report.windows].map((row) => {
        const uncertain = threshold && top(row) < threshold;
        assert.equal(row.uncertain, uncertain, name);
        return uncertain;
      });
      assert.equal(new Set(windows).size, name === "half" ? 2 : 1, name);
      const headline = await page.textContent("#headline");
      const [first, second] = Object.entries(report.probabilities)
        .sort(([, a], [, b]) => b - a)
        .map(([emotion]) => emotion);
      if (whole) assert.equal(headline, `Not sure: ${first} or ${second}`);
      else assert.match(headline, new RegExp(`(Mostly|Sounds like) ${first}`));

      const plot = page.locator("#timeline .plot");
      await plot.focus();
      for (const uncertain of windows) {
        await page.keyboard.press("ArrowRight");
        const label = await plot.getAttribute("aria-valuetext");
        assert.equal(/: not sure, \w+ \d+ % or \w+ \d+ %/.test(label), uncertain === true);
        const striped = await page.locator("#timeline .readout .unsure").count();
        assert.equal(striped, uncertain ? 1 : 0);
      }
      await page.click("#windows summary");
      const rows = await page.locator("#table tbody tr").allTextContents();
      assert.deepEqual(
        rows.map((row) => /not sure/.test(row)),
        windows.map((each) => each === true),
      );
      const legend = await page.textContent("#timeline .legend");
      assert.equal(/not sure/.test(legend), whole !== null, name);
      assert.equal(await page.isVisible("#certainty"), whole !== null, name);
      assert.equal(await page.locator("#bars .bar-limit").count(), whole === null ? 0 : 4);
      const csv = await e2e.saved(page, "#save-csv");
      const column = csv
        .trim()
        .split("\n")
        .map((row) => row.split(",")[5]);
      const cells = [...windows, whole].map((each) => String(each ?? ""));
      assert.deepEqual(column, ["uncertain", ...cells]);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => axe.run());
      const serious = violations.filter(({ impact }) => /serious|critical/.test(impact));
      assert.deepEqual(
        serious.map(({ id }) => id),
        [],
        name,
      );
    }
    assert.deepEqual(problems, []);
  });
}
