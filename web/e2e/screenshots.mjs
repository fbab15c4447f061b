// Makes the pictures of the app in docs/images: `npm run screenshots`.

import { readFileSync } from "node:fs";
import path from "node:path";
import * as e2e from "./harness.mjs";

const IMAGES = path.join(e2e.ROOT, "docs/images");
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

// Side by side in the README: what a phone shows, at a glance.
const SHOWN = ["live-phone-light", "result-phone-light", "result-phone-dark"];

const folder = e2e.scratch();
const wav = path.join(folder, "microphone.wav");
e2e.python("e2e/note_as_wav.py", e2e.NOTE, wav);
const server = await e2e.serve();
const browser = await e2e.launch([
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-audio-capture=${wav}`,
]);
try {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const options = { viewport, colorScheme };
      const { page } = await e2e.openApp(browser, server.url, options);
      const take = (name) =>
        page.screenshot({
          path: path.join(IMAGES, `app-${name}-${size}-${colorScheme}.png`),
          fullPage: true,
        });
      await e2e.offlineReady(page);
      await take("start");
      await page.click("#record");
      await page.waitForFunction(
        () => document.getElementById("elapsed").textContent >= "0:16",
        null,
        { timeout: 60_000 },
      );
      await take("live");
      await page.click("#discard");
      await e2e.analyse(page, e2e.NOTE);
      await page.click("#timeline .plot");
      await page.waitForFunction(() => document.getElementById("sound").currentTime > 13);
      await take("result");
      await page.context().close();
    }
  }
  const page = await browser.newPage({ viewport: { width: 1250, height: 844 } });
  const images = SHOWN.map((name) => readFileSync(path.join(IMAGES, `app-${name}.png`)));
  const tags = images.map(
    (image) => `<img src="data:image/png;base64,${image.toString("base64")}">`,
  );
  await page.setContent(
    `<style>body{margin:0;display:flex;gap:40px;background:#fff}img{width:390px;height:844px;` +
      `object-fit:cover;object-position:top}</style>${tags.join("")}`,
  );
  await page.screenshot({ path: path.join(IMAGES, "app.png") });
} finally {
  await browser.close();
  await server.stop();
}
