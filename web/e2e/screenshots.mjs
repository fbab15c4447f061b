// Makes the pictures of the app in docs/images: `npm run screenshots`.

import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as e2e from "./harness.mjs";

const IMAGES = path.join(e2e.ROOT, "docs/images");
const SIZES = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1280, height: 800 } },
};

// Side by side in the README: what a phone shows, at a glance.
const SHOWN = ["live-phone-light", "result-phone-light", "result-phone-dark"];

// Parts of the note, in seconds, as if they were of several days.
const PARTS = [
  [0, 16],
  [7, 17],
  [12, 25],
  [0, 11],
  [6, 25],
  [8, 16],
];
const CUT = `
import sys, wave
source, target, start, end = sys.argv[1:]
with wave.open(source) as note, wave.open(target, "wb") as part:
    part.setparams(note.getparams())
    rate = note.getframerate()
    note.setpos(int(start) * rate)
    part.writeframes(note.readframes((int(end) - int(start)) * rate))
`;

const folder = e2e.scratch();
const wav = path.join(folder, "microphone.wav");
e2e.python("e2e/note_as_wav.py", e2e.NOTE, wav);
const notes = PARTS.map(([start, end], i) => {
  const day = new Date(2026, 10, 16 + 2 * i, 9, 30);
  const file = path.join(folder, `note of ${day.toLocaleDateString("sv-SE")}.wav`);
  e2e.python("-c", CUT, wav, file, String(start), String(end));
  utimesSync(file, day, day);
  return file;
});
const words = path.join(folder, "shopping list.txt");
writeFileSync(words, "words");

const server = await e2e.serve();
const browser = await e2e.launch([
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-audio-capture=${wav}`,
]);

/** Take a picture of the whole page; a page taller than the screen would lose the touch screen. */
async function take(page, name) {
  const before = page.viewportSize();
  const height = await page.evaluate(() => {
    scrollTo(0, 0);
    return document.querySelector("footer").getBoundingClientRect().bottom + 32;
  });
  await page.setViewportSize({ ...before, height: Math.ceil(height) });
  await page.screenshot({ path: path.join(IMAGES, `app-${name}.png`) });
  await page.setViewportSize(before);
}

/** A recording, and the result of the note with one window chosen. */
async function one(page, kind) {
  await take(page, `start-${kind}`);
  await page.click("#record");
  await page.waitForFunction(
    () => document.getElementById("elapsed").textContent >= "0:16",
    null,
    { timeout: 60_000 },
  );
  await take(page, `live-${kind}`);
  await page.click("#discard");
  await e2e.analyse(page, e2e.NOTE);
  const { width } = await page.locator("#timeline .plot").boundingBox();
  await page.click("#timeline .plot", { position: { x: 0.4 * width, y: 40 } });
  await page.waitForFunction(() => document.getElementById("sound").currentTime > 10.3);
  await page.click("#play");
  await take(page, `result-${kind}`);
}

/** Several recordings, two of them side by side, and the voice over days. */
async function several(page, kind) {
  await page.click("#voice summary");
  await page.fill("#voice-name", "Ada");
  await page.click("#new-voice button");
  await page.check("#keep-history");
  await page.click("#voice summary");
  await page.click("#again");
  await page.click("#clear");
  await page.setInputFiles("#file", [...notes, words]);
  await page.waitForSelector(".row:nth-child(4)[data-state=working]", { timeout: 90_000 });
  await take(page, `list-${kind}`);
  await page.waitForSelector("#clear:not([hidden])");
  for (const n of [2, 5]) await page.check(`.row:nth-child(${n}) input`);
  await page.click("#compare-picked");
  await take(page, `compare-${kind}`);
  await page.click("#voice summary");
  await page.waitForSelector("#history-chart svg");
  await page.locator(".card:has(#voice)").screenshot({
    path: path.join(IMAGES, `app-history-${kind}.png`),
  });
}

/** The page that the app saves. */
async function report(page, kind) {
  const file = path.join(folder, `report-${kind}.html`);
  writeFileSync(file, await e2e.saved(page, "#save-html"));
  const opened = await page.context().newPage();
  await opened.goto(`file://${file}`);
  await opened.screenshot({
    path: path.join(IMAGES, `report-${kind}.png`),
    fullPage: true,
  });
  await opened.close();
}

try {
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const kind = `${size}-${colorScheme}`;
      const { page } = await e2e.openApp(browser, server.url, { ...options, colorScheme });
      await e2e.offlineReady(page);
      await one(page, kind);
      // Light on the phone and dark on the desktop suffice.
      if (kind === "phone-light" || kind === "desktop-dark") {
        await report(page, kind);
        await several(page, kind);
      }
      await page.context().close();
    }
  }
  const page = await browser.newPage({ viewport: { width: 1250, height: 1100 } });
  const images = SHOWN.map((name) => readFileSync(path.join(IMAGES, `app-${name}.png`)));
  const tags = images.map(
    (image) => `<img src="data:image/png;base64,${image.toString("base64")}">`,
  );
  await page.setContent(
    `<style>body{margin:0;display:flex;gap:40px;background:#fff}img{width:390px;height:1100px;` +
      `object-fit:cover;object-position:top}</style>${tags.join("")}`,
  );
  await page.screenshot({ path: path.join(IMAGES, "app.png") });
} finally {
  await browser.close();
  await server.stop();
}
