// The HTML report that `Report.to_html` writes, in Chromium.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf-8");
const HOSTILE = "</script><img src=x onerror=alert(1)><!--\u202egnp.exe";
const skip = e2e.missing();
const folder = e2e.scratch();
let browser;

// A note; the same by a hostile name, of three hours, and without speech.
const WRITE = `
import sys
from dataclasses import replace
import numpy as np
import espressivo
from espressivo.types import Segment
folder, note, name = sys.argv[1:]
analyzer = espressivo.load_model()
report = analyzer.analyze(note)
hours = [
    replace(report.estimates[i // 450], segment=Segment(i * 96_000, i * 96_000 + 80_000))
    for i in range(1_800)
]
pages = {
    "note": report,
    "hostile": replace(report, recording=name, warnings=(name,)),
    "hours": replace(report, duration_s=10_800.0, estimates=tuple(hours),
                     loudness=np.full(108_000, -30, np.float32)),
    "silence": analyzer.analyze(np.zeros(64_000, np.float32)),
}
for name, each in pages.items():
    with open(f"{folder}/{name}.html", "w", encoding="utf-8") as file:
        file.write(each.to_html())
`;

before(async () => {
  if (skip) return;
  e2e.python("-c", WRITE, folder, e2e.NOTE, HOSTILE);
  browser = await e2e.launch();
});
after(() => browser?.close());

/** Open a report; any fault, message or request fails the test. */
async function open(t, name, options = {}) {
  const viewport = { width: 390, height: 844 };
  const context = await browser.newContext({ viewport, ...options });
  const page = await context.newPage();
  const file = `file://${path.join(folder, `${name}.html`)}`;
  const heard = [];
  page.on("pageerror", (error) => heard.push(String(error)));
  page.on("console", (message) => heard.push(message.text()));
  page.on("dialog", (dialog) => heard.push(dialog.message()));
  page.on("request", (request) => request.url() !== file && heard.push(request.url()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(heard, []);
  });
  await page.goto(file);
  return page;
}

const shown = (page) => page.evaluate(() => document.getElementById("readout").textContent);

for (const [name, colorScheme] of [
  ["note", "light"],
  ["note", "dark"],
  ["hours", "light"],
  ["silence", "dark"],
]) {
  test(`${name}, ${colorScheme}: readable by all, and fits a phone`, {
    skip,
  }, async (t) => {
    const page = await open(t, name, { colorScheme });

    const { violations } = await page.evaluate(`${AXE}; axe.run()`);
    assert.deepEqual(
      violations.map(({ id, nodes }) => [id, nodes.map((each) => each.html)]),
      [],
    );
    const isWide = () => document.documentElement.scrollWidth > window.innerWidth;
    assert.equal(await page.evaluate(isWide), false);
  });
}

test("a window's numbers, by keys and by pointer", { skip }, async (t) => {
  const page = await open(t, "note");

  await page.focus("#plot");
  await page.keyboard.press("ArrowRight");
  const first = await shown(page);
  assert.match(first, /^0:00–0:0\d \w+.* \d+ %.*arousal 0\.\d\d/);
  assert.equal(await page.getAttribute("#plot", "aria-valuenow"), "1");
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await shown(page), first);
  const box = await page.locator("#plot").boundingBox();
  await page.mouse.move(box.x + box.width * 0.1, box.y + 50);
  assert.equal(await shown(page), first);
});

test("three hours: zoom, drag and jump to a moment", { skip }, async (t) => {
  const page = await open(t, "hours");
  const ticks = () => page.locator("#plot text").allTextContents();

  assert.ok((await ticks()).includes("1:00:00"));
  for (let i = 0; i < 7; i++) await page.click("#in");
  const before = await ticks();
  await page.locator("#plot").scrollIntoViewIfNeeded();
  assert.ok(before.some((each) => /^1:(29|30):\d\d$/.test(each)));
  const box = await page.locator("#plot").boundingBox();
  await page.mouse.move(box.x + 300, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + 100, box.y + 50, { steps: 4 });
  await page.mouse.up();
  assert.notDeepEqual(await ticks(), before);
  await page.click("#moments button >> nth=0");
  const [time] = (await page.textContent("#moments button >> nth=0")).split("–");
  assert.ok((await shown(page)).startsWith(time));
  await page.click("#all");
  assert.ok((await ticks()).includes("1:00:00"));
});

test("a hostile name stays text", { skip }, async (t) => {
  const page = await open(t, "hostile");

  const visible = HOSTILE.replace("\u202e", "\\u202e");
  assert.equal(await page.textContent("#name"), visible);
  assert.equal(await page.textContent("#notes"), visible);
  assert.equal(await page.locator("img").count(), 0);
});

test("without JavaScript it says so", { skip }, async (t) => {
  const page = await open(t, "note", { javaScriptEnabled: false });

  assert.match(await page.textContent("body"), /draws itself with JavaScript/);
});
