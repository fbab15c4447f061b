// The page as a person uses it: files, errors, keys, screen reader, models, offline.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import * as e2e from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf-8");

const skip = e2e.missing();
const folder = e2e.scratch();
const on = e2e.stage();

test("drop a file, see the whole, hear any of it, with mouse and keys", {
  skip,
}, async () => {
  const { page, problems } = await e2e.openApp(on.browser, on.server.url);
  await e2e.drop(page, [e2e.NOTE]);
  await e2e.resultShown(page);
  assert.ok((await page.textContent("#headline")).includes(on.note.emotion));
  assert.equal(await page.evaluate(() => document.activeElement.id), "headline");
  const plot = page.locator("#timeline .plot");
  const told = () => plot.getAttribute("aria-valuetext");
  const played = (from_s) =>
    page.waitForFunction((s) => document.getElementById("sound").currentTime > s, from_s);
  assert.equal(await plot.getAttribute("aria-valuemax"), "4");
  await plot.focus();
  for (const key of ["ArrowRight", "ArrowRight", "Enter"]) await page.keyboard.press(key);
  await played(7.3);
  const label = await told();
  assert.match(
    label,
    /^0:07 to 0:11: (\w+, \d+ %|not sure, \w+ \d+ % or .+); arousal 0\.\d\d$/,
  );
  assert.ok(label.includes(on.note.windows[1].emotion));

  // A click plays from there, and goes on.
  const { width } = await plot.boundingBox();
  await plot.click({ position: { x: (width * 13) / on.note.duration_s, y: 40 } });
  await played(13.1);
  assert.match(await told(), /^0:12 to 0:16: /);
  await page.click("#timeline [aria-label='Zoom in']");
  assert.equal(await page.isVisible("#timeline .map"), true);

  // A moment ends where its windows do.
  const moment = page.locator("#moments button").first();
  const end_s = Number(/ to 0:(\d+)/.exec(await moment.textContent())[1]);
  await moment.click();
  await page.evaluate((s) => {
    document.getElementById("sound").currentTime = s;
  }, end_s - 0.3);
  await page.waitForFunction(() => document.getElementById("sound").paused);
  const stopped = await page.evaluate(() => document.getElementById("sound").currentTime);
  assert.ok(stopped >= end_s && stopped < end_s + 1.5, `stopped at ${stopped} s`);

  const report = await e2e.reportOf(page);
  await page.click("#windows summary");
  const rows = await page.locator("#table tbody tr").allTextContents();
  assert.equal(rows.length, report.windows.length);
  for (const [i, { start_s, emotion }] of report.windows.entries()) {
    assert.ok(rows[i].startsWith(start_s.toFixed(1)) && rows[i].includes(emotion), rows[i]);
  }
  assert.deepEqual(problems, []);
});

test("no speech: said so, no emotion made up", { skip }, async () => {
  const quiet = path.join(folder, "quiet.wav");
  e2e.python("e2e/long_note.py", quiet, "0.1", "16000", "silent");
  const { page } = await e2e.openApp(on.browser, on.server.url);
  const report = await e2e.analyse(page, quiet);
  assert.equal(report.emotion, null);
  assert.deepEqual(report.windows, []);
  assert.match(await page.textContent("#headline"), /No speech was found/);
  for (const id of ["#bars", "#disclaimer", "#sentence"]) {
    assert.equal(await page.isVisible(id), false, id);
  }
});

test("a long file: progress, cancel, and the page never freezes and goes on", {
  skip,
}, async () => {
  const note = await e2e.longNote(path.join(folder, "five.wav"), 5);
  const { page, problems } = await e2e.openApp(on.browser, on.server.url);
  await page.evaluate(() => {
    window.frames = 0;
    const count = () => {
      window.frames += 1;
      requestAnimationFrame(count);
    };
    count();
  });
  await page.setInputFiles("#file", note);
  await page.waitForFunction(() => document.getElementById("progress").value > 0.2);
  const frames = await page.evaluate(() => window.frames);
  assert.ok(frames > 10, `${frames} frames were drawn meanwhile`);
  assert.match(await page.textContent("#progress-text"), /of 5:00, \d+ %/);
  assert.equal(await page.isDisabled("#model"), true); // the model is at work
  const strip = page.locator("#working-timeline [role=img]");
  assert.match(
    await strip.getAttribute("aria-label"),
    /^\d+ windows? in \d+:\d\d so far(, \d+ not sure)?$/,
  );
  await page.click("#cancel");
  await page.waitForSelector("#start:not([hidden])");
  assert.match(await page.textContent("#status"), /Cancelled/);
  assert.equal(await page.isVisible("#result"), false);
  assert.equal((await e2e.analyse(page, e2e.NOTE)).emotion, on.note.emotion);
  assert.equal(await page.isDisabled("#model"), false);
  assert.deepEqual(problems, []);
});

test("a model folder of one's own; an altered one is refused", { skip }, async () => {
  const { page } = await e2e.openApp(on.browser, on.server.url);
  await page.click("#models summary");
  const mine = path.join(folder, "mine");
  cpSync(e2e.MODEL, mine, { recursive: true });
  const card = JSON.parse(readFileSync(path.join(mine, "model.json"), "utf-8"));
  writeFileSync(path.join(mine, "model.json"), JSON.stringify({ ...card, name: "mine" }));
  await page.setInputFiles("#folder", mine);
  await page.waitForFunction(
    (shown) => document.getElementById("model-now").textContent === shown,
    `mine ${card.version}`,
  );
  assert.equal((await e2e.analyse(page, e2e.NOTE)).model.name, "mine");

  // Dropped as a folder, it does as well.
  const dropped = path.join(folder, "dropped");
  cpSync(mine, dropped, { recursive: true });
  writeFileSync(
    path.join(dropped, "model.json"),
    JSON.stringify({ ...card, name: "dropped" }),
  );
  await e2e.drop(page, [dropped]);
  await page.waitForFunction(
    (shown) => document.getElementById("model-now").textContent === shown,
    `dropped ${card.version}`,
  );
  await page.setInputFiles("#folder", mine);
  await page.waitForFunction(
    (shown) => document.getElementById("model-now").textContent === shown,
    `mine ${card.version}`,
  );

  const altered = path.join(folder, "altered");
  cpSync(mine, altered, { recursive: true });
  const graph = readFileSync(path.join(altered, "model.onnx"));
  graph[graph.length >> 1] ^= 1;
  writeFileSync(path.join(altered, "model.onnx"), graph);
  const half = path.join(folder, "half");
  mkdirSync(half);
  cpSync(path.join(mine, "model.json"), path.join(half, "model.json"));
  for (const [given, text] of [
    [altered, /model\.onnx: sha256 is \w{12}\.\.\., not \w{12}/],
    [half, /holds no model\.onnx/],
  ]) {
    await page.setInputFiles("#folder", given);
    await page.waitForSelector("#alert:not([hidden])");
    assert.match(await page.textContent("#alert-text"), text);
    await page.click("#alert-close");
  }
  assert.equal((await e2e.analyse(page, e2e.NOTE)).model.name, "mine"); // which stayed
});

test("no model: said so, and tried again", { skip }, async () => {
  const context = await on.browser.newContext({ serviceWorkers: "block" });
  const page = await context.newPage();
  await page.route("**/models/models.json", (route) => route.fulfill({ status: 404 }));
  await page.goto(on.server.url);
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await page.textContent("#alert-title"), /No model was found/);
  assert.equal(await page.isDisabled("#record"), true);
  await page.unroute("**/models/models.json");
  await page.click("#alert-retry");
  await page.waitForSelector("html[data-ready=true]");
  assert.equal(await page.isDisabled("#record"), false);
});

test("a profile can be deleted; a damaged or double one is refused", { skip }, async () => {
  const { page } = await e2e.openApp(on.browser, on.server.url);
  await page.click("#voice summary");
  await page.fill("#voice-name", "../me");
  await page.click("#new-voice button");
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await page.textContent("#alert-text"), /is no name for a profile/);
  await page.fill("#voice-name", "me");
  await page.click("#new-voice button");
  await page.waitForFunction(() => document.getElementById("speaker").value === "me");
  const file = path.join(folder, "me.json");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.click("#speaker-export"),
  ]);
  await download.saveAs(file);
  await page.setInputFiles("#voice-file", file);
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await page.textContent("#alert-text"), /'me' already/);
  writeFileSync(
    file,
    readFileSync(file, "utf-8").replace('"n_windows": 0', '"n_windows": 9'),
  );
  await page.setInputFiles("#voice-file", file);
  await page.waitForFunction(() =>
    /edited or damaged/.test(document.getElementById("alert-text").textContent),
  );
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("#speaker-delete");
  await page.waitForFunction(() => document.getElementById("speaker").value === "");
  assert.deepEqual(
    await page.evaluate(() =>
      Object.keys(localStorage).filter((key) => /profile/.test(key)),
    ),
    [],
  );
});

test("a recording is judged by itself, and by an imported setting", { skip }, async () => {
  const { page } = await e2e.openApp(on.browser, on.server.url);
  const plain = await e2e.analyse(page, e2e.NOTE);
  assert.equal(plain.adaptation, null);
  assert.equal(await page.isHidden("#adaptation"), true);
  assert.equal(await page.textContent("#voice-now"), "the average voice");

  await page.click("#voice summary");
  await page.check("#together");
  const alone = await e2e.analyse(page, e2e.NOTE);
  const { speaker, setting, recording, probabilities_without } = alone.adaptation;
  assert.deepEqual([speaker, setting, recording], [null, null, true]);
  assert.deepEqual(probabilities_without, plain.probabilities);
  assert.match(
    await page.textContent("#adaptation"),
    /^Adapted to the recording itself, by \d+ s of speech: \d+ % of the probability moved/,
  );

  const file = path.join(folder, "hall.json");
  await e2e.espressivo("adapt", file, "--from", `${path.dirname(e2e.NOTE)}/*.m4a`);
  await page.setInputFiles("#voice-file", file);
  await page.waitForFunction(() => document.getElementById("setting").value === "hall");
  assert.match(await page.textContent("#setting-facts"), /windows of 1 recording/);
  assert.equal(await page.textContent("#voice-now"), "hall, the recording itself");
  const both = await e2e.analyse(page, e2e.NOTE);
  assert.equal(both.adaptation.setting, "hall");
  assert.equal(both.adaptation.n_recordings, 2);

  await page.reload(); // the choice is kept
  await page.waitForSelector("html[data-ready=true]");
  await page.click("#voice summary");
  assert.equal(await page.textContent("#voice-now"), "hall, the recording itself");
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("#setting-delete");
  await page.waitForFunction(() => document.getElementById("setting").value === "");
  await page.uncheck("#together");
  assert.deepEqual((await e2e.analyse(page, e2e.NOTE)).probabilities, plain.probabilities);
});

test("offline: the server is gone, and the app opens and analyses", { skip }, async () => {
  const own = await e2e.serve();
  const { page, problems } = await e2e.openApp(on.browser, own.url);
  const first = await e2e.analyse(page, e2e.NOTE);
  await e2e.offlineReady(page);
  await own.stop();
  await page.reload();
  await page.waitForSelector("html[data-ready=true]");
  assert.deepEqual(await e2e.analyse(page, e2e.NOTE), first);
  assert.deepEqual(problems, []);
});

test("an update waits until the page is closed", { skip }, async () => {
  const copy = path.join(folder, "copy");
  cpSync(path.join(e2e.ROOT, "web/dist"), copy, { recursive: true });
  const host = await e2e.plainHost(copy);
  try {
    const { context, page } = await e2e.openApp(on.browser, host.url);
    await e2e.offlineReady(page);
    const sw = path.join(copy, "sw.js");
    writeFileSync(sw, `${readFileSync(sw, "utf-8")}\n// another version\n`);
    const note = (each) => each.textContent("#offline-note");
    await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      await registration.update();
      while (!registration.waiting) await new Promise((done) => setTimeout(done, 50));
    });
    await page.reload();
    await e2e.offlineReady(page);
    assert.match(await note(page), /new version/);
    assert.equal((await e2e.analyse(page, e2e.NOTE)).emotion, on.note.emotion);
    await page.close();
    const next = await context.newPage();
    await next.goto(host.url);
    await e2e.offlineReady(next);
    assert.match(await note(next), /ready to work offline/);
  } finally {
    host.stop();
  }
});

test("it can be installed", { skip }, async () => {
  const { page } = await e2e.openApp(on.browser, on.server.url);
  await e2e.offlineReady(page);
  const session = await page.context().newCDPSession(page);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  const told = installabilityErrors.map(({ errorId }) => errorId);
  // A context of its own is like a private window, in which nothing can be installed.
  assert.deepEqual(
    told.filter((id) => id !== "in-incognito"),
    [],
  );
});

test("the example page", { skip }, async () => {
  const page = await on.browser.newPage();
  await page.goto(`${on.server.url}example.html`);
  await page.waitForSelector("input:enabled");
  await page.setInputFiles("input", e2e.NOTE);
  const [{ emotion, uncertain }] = await e2e.analysedInPython(
    [e2e.NOTE],
    ["--model", "espressivo-tiny"],
  );
  await page.waitForFunction(
    (wanted) => document.querySelector("output").value === wanted,
    uncertain ? `not sure, perhaps ${emotion}` : emotion,
  );
  const text = path.join(folder, "example.txt");
  writeFileSync(text, "words");
  await page.setInputFiles("input", text);
  await page.waitForFunction(() =>
    /no recording/.test(document.querySelector("output").value),
  );
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing serious, ${colorScheme}`, { skip }, async () => {
    const { page } = await e2e.openApp(on.browser, on.server.url, { colorScheme });
    const check = async (state) => {
      await page.evaluate(AXE);
      const found = await page.evaluate(() => axe.run());
      const serious = found.violations.filter(({ impact }) =>
        /serious|critical/.test(impact),
      );
      const told = serious.map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`,
      );
      assert.deepEqual(told, [], state);
      assert.ok(found.passes.length > 10, state);
    };
    await check("start");
    for (const id of ["voice", "models", "limits"]) await page.click(`#${id} summary`);
    await check("panels open");
    await e2e.analyse(page, e2e.NOTE);
    await page.click("#windows summary");
    await check("result");
    await page.click("#again");
    const text = path.join(folder, `words-${colorScheme}.txt`);
    writeFileSync(text, "words");
    await page.setInputFiles("#file", text);
    await page.waitForSelector("#alert:not([hidden])");
    await check("alert");
  });
}
