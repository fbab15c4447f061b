// Several recordings: the list, two side by side, a voice over days, and what can be saved.

import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import * as e2e from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf-8");
const PAGE = path.join(e2e.ROOT, "src/espressivo/assets/report.html");
const CONTENT = /(<script type="application\/json" id="content">)(.*?)(<\/script>)/s;

const skip = e2e.missing();
const folder = e2e.scratch();
const on = e2e.stage();

/** Files for the list: two notes, what is no recording, and one more note. */
function files() {
  const [wav, words, more] = ["note.wav", "words.txt", "more.m4a"].map((name) =>
    path.join(folder, name),
  );
  e2e.python("e2e/note_as_wav.py", e2e.NOTE, wav);
  writeFileSync(words, "words");
  copyFileSync(e2e.NOTE, more);
  return [e2e.NOTE, words, wav, more];
}

async function requireReadable(page, state) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  const serious = violations.filter(({ impact }) => /serious|critical/.test(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`);
  assert.deepEqual(told, [], state);
  const isWide = () => document.documentElement.scrollWidth > window.innerWidth;
  assert.equal(await page.evaluate(isWide), false, `${state} is wider than the screen`);
}

const stateOf = (n, state) => `.row:nth-child(${n})[data-state=${state}]`;

for (const options of [
  { colorScheme: "light", isMobile: true, hasTouch: true },
  { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
]) {
  const name = options.isMobile ? "phone, light" : "desktop, dark";
  test(`several files in turn, and two side by side: ${name}`, { skip }, async () => {
    const { page, problems } = await e2e.openApp(on.browser, on.server.url, options);
    assert.equal(await page.isVisible(".droppable"), !options.isMobile);
    if (options.isMobile) await page.setInputFiles("#file", files());
    else await e2e.drop(page, files());
    await page.waitForSelector(stateOf(1, "working"));
    await page.click("[aria-label='Cancel more.m4a']");
    const row = await page.locator(".row").first().boundingBox();
    await e2e.drag(page, "dragEnter", row.x + 60, row.y + 20);
    for (const [i, state] of ["done", "failed", "done", "cancelled"].entries()) {
      await page.waitForSelector(stateOf(i + 1, state));
    }
    await e2e.drag(page, "dragOver", 9, 9); // the row it was over has been drawn anew
    await page.dispatchEvent("body", "dragleave"); // of which the protocol has none
    await page.waitForSelector("#drop", { state: "hidden" });
    assert.equal(await page.textContent("#list-count"), "3 of 4 analysed, 1 failed");
    const rows = await page.locator(".row-result").allTextContents();
    assert.match(rows[0], new RegExp(`${on.note.emotion}.*; 24 s`));
    assert.match(rows[1], /^Failed: is no recording that this browser can decode/);
    await requireReadable(page, "list");

    await page.click(`${stateOf(1, "done")} button.row-text`);
    assert.equal(await page.textContent("#result-name"), path.basename(e2e.NOTE));
    await page.click("#compare-with"); // which ticks it
    assert.equal(await page.isDisabled("#compare-picked"), true);
    await page.check("[aria-label='Compare note.wav']");
    await page.click("#compare-picked");
    assert.deepEqual(await page.locator("#compare h3").allTextContents(), [
      path.basename(e2e.NOTE),
      "note.wav",
    ]);
    for (const played of [0, 1]) {
      await page.locator("#compare .player button").nth(played).click();
      await page.waitForFunction((at) => {
        const sounds = [...document.querySelectorAll("#compare audio")];
        return sounds.every(({ paused }, i) => paused === (i !== at)); // one at a time
      }, played);
    }
    await requireReadable(page, "side by side");
    await page.click("#compare-back");
    if (options.isMobile) await page.click("#clear");
    else for (let i = 0; i < 4; i++) await page.locator(".row-end").first().click();
    assert.equal(await page.isVisible("#list"), false);
    assert.equal(await page.evaluate(() => document.activeElement.id), "choose");
    assert.deepEqual(problems, []);
  });
}

test("a voice over days: kept on request, exported, deleted", { skip }, async () => {
  const { page, problems } = await e2e.openApp(on.browser, on.server.url);
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("#voice summary");
  await page.fill("#voice-name", "me");
  await page.click("#new-voice button");
  await page.waitForSelector("#keep-history:enabled");
  await e2e.analyse(page, e2e.NOTE); // not kept: nobody has asked for it
  await page.check("#keep-history");
  assert.equal(await page.isVisible("#history"), false);
  const report = await e2e.analyse(page, e2e.NOTE);
  await page.waitForSelector("#history:not([hidden])");

  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  await page.click("#voice summary");
  await page.waitForSelector("#history-chart svg");
  const [result, ...more] = JSON.parse(await e2e.saved(page, "#history-json")).results;
  assert.deepEqual(more, []);
  assert.equal(result.name, report.recording);
  assert.equal(result.duration_s, report.duration_s);
  assert.deepEqual(Object.keys(result.probabilities), Object.keys(report.probabilities));
  for (const [emotion, p] of Object.entries(report.probabilities)) {
    assert.ok(Math.abs(result.probabilities[emotion] - p) < 2e-4);
  }
  assert.deepEqual(result.dimensions, report.dimensions);
  const csv = await e2e.saved(page, "#history-csv");
  assert.ok(csv.includes(`,${report.recording},${report.duration_s},`), csv);
  await page.click("#history-count");
  await requireReadable(page, "history");
  await page.click("#history-rows button");
  await page.waitForSelector("#history", { state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "keep-history");

  await page.evaluate(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await e2e.analyse(page, e2e.NOTE);
  assert.match(await page.textContent("#alert-text"), /keeps nothing .*QuotaExceededError/);
  assert.equal(await page.isVisible("#alert"), true);
  assert.deepEqual(problems, []);
});

test("where the browser keeps nothing, all but the history works", { skip }, async () => {
  const context = await on.browser.newContext({ serviceWorkers: "block" });
  await context.addInitScript(() => {
    const refuse = () => {
      throw new DOMException("refused", "SecurityError");
    };
    Object.defineProperty(window, "localStorage", { get: refuse });
    IDBFactory.prototype.open = refuse;
  });
  const page = await context.newPage();
  await page.goto(on.server.url);
  await page.waitForSelector("html[data-ready=true]");
  await page.click("#voice summary");
  await page.fill("#voice-name", "me");
  await page.click("#new-voice button");
  await page.waitForSelector("#keep-history:enabled");
  await page.click("#keep-history");
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await page.textContent("#alert-text"), /keeps nothing for this page/);
  assert.equal(await page.isChecked("#keep-history"), false);
  const { adaptation } = await e2e.analyse(page, e2e.NOTE);
  assert.equal(adaptation.speaker, "me");
  assert.equal(await page.isVisible("#alert"), false);
  await context.close();
});

test("the result as a picture and as the page that Python writes; shared", {
  skip,
}, async () => {
  const context = await on.browser.newContext({ serviceWorkers: "block" });
  await context.addInitScript(() => {
    navigator.canShare = ({ files }) => files.length === 1;
    navigator.share = async ({ files: [file], ...rest }) => {
      window.shared = { ...rest, name: file.name, type: file.type, size: file.size };
    };
  });
  const page = await context.newPage();
  await page.goto(on.server.url);
  await page.waitForSelector("html[data-ready=true]");
  const report = await e2e.analyse(page, e2e.NOTE);
  assert.equal(await page.textContent("#sentence"), report.summary);

  const html = await e2e.saved(page, "#save-html");
  const [, , text] = CONTENT.exec(html);
  const content = JSON.parse(text);
  assert.deepEqual(content.report, report);
  assert.equal(content.loudness.length, Math.ceil(report.duration_s * 10));
  assert.match(content.date, /^\d{4}-\d\d-\d\d$/);
  const empty = html.replace(CONTENT, (_, start, __, end) => `${start}null${end}`);
  assert.equal(empty, readFileSync(PAGE, "utf-8"));

  const picture = readFileSync(await e2e.savedPath(page, "#save-picture"));
  assert.deepEqual(
    [...picture.subarray(1, 4)],
    [..."PNG"].map((c) => c.charCodeAt(0)),
  );
  assert.equal(picture.readUInt32BE(16), 1200); // pixels wide
  await page.click("#share");
  await page.waitForFunction(() => window.shared);
  const shared = await page.evaluate(() => window.shared);
  assert.equal(shared.name, "voice-note.png");
  assert.equal(shared.type, "image/png");
  assert.equal(shared.text, report.summary);
  await context.close();
});
