// The microphone: Chromium's fake one plays a file in real time.

import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const skip = e2e.missing();
const folder = e2e.scratch();
let server;
let fake; // a browser with a microphone that beeps

before(async () => {
  if (skip) return;
  server = await e2e.serve();
  fake = await e2e.launch([
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
  ]);
});
after(async () => {
  await fake?.close();
  await server?.stop();
});

test("what the microphone hears is what Python says of the recording", {
  skip,
}, async () => {
  const wav = path.join(folder, "microphone.wav");
  e2e.python("e2e/note_as_wav.py", e2e.NOTE, wav);
  const browser = await e2e.launch([
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-audio-capture=${wav}%noloop`,
  ]);
  try {
    const { page, problems } = await e2e.openApp(browser, server.url);
    await page.click("#record");
    await page.waitForSelector("#live:not([hidden])");
    const loud = () => document.getElementById("level").value > 0.3;
    await page.waitForFunction(loud);
    await page.waitForFunction(() =>
      /^(\w+, \d+ %|Not sure)$/.test(document.getElementById("now").textContent),
    );
    // A window that is certain, after the note's first pause.
    await page.waitForSelector("#live-timeline [aria-label^='1 window in']");
    // The headline says what the bars show, and nothing else is said beside it.
    const [now, ...bars] = await page.evaluate(() => {
      const values = document.querySelectorAll("#live-bars .bar-value");
      return [document.getElementById("now"), ...values].map((each) => each.textContent);
    });
    const highest = bars.reduce((a, b) =>
      Number.parseInt(b, 10) > Number.parseInt(a, 10) ? b : a,
    );
    assert.ok(now === "Not sure" || now.endsWith(highest), `${now}: ${bars}`);
    const { width } = await page.locator("#status").boundingBox();
    assert.equal(width, 1); // for screen readers only
    await page.waitForFunction(
      () => document.getElementById("elapsed").textContent >= "0:26",
    );
    await page.click("#stop");
    // A busy machine analyses what was recorded late.
    await e2e.resultShown(page, { timeout: 90_000 });
    const report = await e2e.reportOf(page);

    const recording = path.join(folder, "recording.wav");
    copyFileSync(await e2e.savedPath(page, "#save-sound"), recording);
    const [expected] = await e2e.analysedInPython([recording]);
    e2e.requireSame(report, expected, "what was recorded");

    // And that is the note, though the fake microphone comes in late and resamples.
    const [note] = await e2e.analysedInPython([e2e.NOTE]);
    assert.equal(report.emotion, note.emotion);
    assert.equal(report.windows.length, note.windows.length);
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
});

test("sound that comes after the microphone was closed costs no recording", {
  skip,
}, async () => {
  const context = await fake.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    // As on a busy machine: the context is closed, and chunks are still on their way.
    AudioContext.prototype.close = async () => undefined;
  });
  await page.goto(server.url);
  await page.waitForSelector("html[data-ready=true]");
  await page.click("#record");
  await page.waitForFunction(
    () => document.getElementById("elapsed").textContent >= "0:02",
  );
  await page.click("#stop");
  await e2e.resultShown(page);
  await page.waitForTimeout(1000); // in which more sound comes
  assert.equal(await page.isVisible("#result"), true);
  assert.equal(await page.isVisible("#alert"), false);
  await context.close();
});

test("discarding a recording keeps nothing and lets go of the microphone", {
  skip,
}, async () => {
  const { page } = await e2e.openApp(fake, server.url);
  await page.click("#record");
  await page.waitForSelector("#live:not([hidden])");
  await page.click("#discard");
  await page.waitForSelector("#start:not([hidden])");
  for (const id of ["#result", "#list"]) assert.equal(await page.isVisible(id), false, id);
  assert.match(await page.textContent("#status"), /nothing was kept/);
  await e2e.analyse(page, e2e.NOTE); // and the page goes on
});

for (const [name, flags, title] of [
  [
    "refused",
    ["--use-fake-device-for-media-stream", "--deny-permission-prompts"],
    /refused/,
  ],
  ["none", ["--use-fake-ui-for-media-stream"], /No microphone/],
]) {
  test(`a microphone: ${name}`, { skip }, async () => {
    const browser = await e2e.launch(flags);
    try {
      const { page } = await e2e.openApp(browser, server.url);
      await page.click("#record");
      await page.waitForSelector("#alert:not([hidden])");
      assert.match(await page.textContent("#alert-title"), title);
      assert.match(await page.textContent("#alert-text"), /choose a file/);
      assert.equal(await page.isVisible("#start"), true);
      await e2e.analyse(page, e2e.NOTE); // a file still goes
      assert.equal(await page.isVisible("#alert"), false);
    } finally {
      await browser.close();
    }
  });
}
