// Firefox runs the app, and agrees with Python. Playwright drives only a Firefox of its
// own, so this one, Debian's, is driven through WebDriver BiDi by Puppeteer.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import * as e2e from "./harness.mjs";

const FIREFOX =
  process.env.FIREFOX ?? ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find(existsSync);
const without =
  e2e.missing() ||
  (FIREFOX ? false : "needs Firefox (Debian's package firefox-esr, or FIREFOX=path)");
const on = {};

before(async () => {
  if (without) return;
  on.server = await e2e.serve();
  on.browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX });
});
after(async () => {
  await on.browser?.close();
  await on.server?.stop();
});

test("the app analyses the example, and says what Python says", {
  skip: without,
}, async () => {
  const { page, problems } = await openApp();
  const report = await analyse(page, e2e.NOTE);
  const [expected] = await e2e.analysedInPython([e2e.NOTE]);
  e2e.requireSame(report, expected, "voice note");
  assert.equal(report.summary, expected.summary);
  assert.deepEqual(problems, []);
});

test("recordings of the corpora", { skip: without || e2e.withoutCorpora() }, async () => {
  const files = e2e.recordings().filter((_, i) => i % 4 === 0);
  const { page, problems } = await openApp();
  const expected = await e2e.analysedInPython(files);
  for (const [i, file] of files.entries()) {
    e2e.requireSame(await analyse(page, file), expected[i], file);
  }
  assert.deepEqual(problems, []);
});

async function openApp() {
  const page = await on.browser.newPage();
  page.setDefaultTimeout(90_000); // a busy machine takes its time
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(on.server.url);
  await page.waitForSelector("html[data-ready=true]");
  // Puppeteer tells of no downloads in Firefox, so the page keeps what it saves.
  await page.evaluate(() => {
    const make = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (blob) => {
      if (blob.type.startsWith("application/json")) globalThis.lastSaved = blob;
      return make(blob);
    };
  });
  return { page, problems };
}

async function analyse(page, file) {
  const again = await page.$("#again");
  if (await again.isVisible()) await again.click();
  const input = await page.$("#file");
  await input.uploadFile(file);
  await page.waitForSelector("#result:not([hidden])");
  await page.click("#save-json");
  return JSON.parse(await page.evaluate(() => globalThis.lastSaved.text()));
}
