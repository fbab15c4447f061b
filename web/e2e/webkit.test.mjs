// WebKit runs the app, and agrees with Python. Playwright drives only a WebKit of its own,
// so this one is WebKitGTK's small browser, driven by Debian's WebKitWebDriver. Its own
// decoders are the desktop's, and crash on Opus: FLAC and WAV are enough here.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { Builder, By, Capabilities, until } from "selenium-webdriver";
import * as e2e from "./harness.mjs";

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
const BROWSER = existsSync(LIBRARIES)
  ? readdirSync(LIBRARIES)
      .filter((name) => name.startsWith("webkit2gtk-4"))
      .map((name) => path.join(LIBRARIES, name, "MiniBrowser"))
      .find(existsSync)
  : undefined;
const DRIVER = "/usr/bin/WebKitWebDriver";
const DISPLAY_SERVER = "/usr/bin/Xvfb";
const without =
  e2e.missing() ||
  (BROWSER && [DRIVER, DISPLAY_SERVER].every(existsSync)
    ? false
    : "needs WebKitGTK and a display (Debian's packages webkit2gtk-driver and xvfb)");
const TIMEOUT_MS = 90_000; // a busy machine takes its time
const on = {};

before(async () => {
  if (without) return;
  on.server = await e2e.serve();
  on.display = spawn(DISPLAY_SERVER, ["-displayfd", "1", "-nolisten", "tcp"]);
  const number = await firstLine(on.display.stdout);
  const port = await e2e.freePort();
  on.driver = spawn(DRIVER, [`--port=${port}`], {
    env: {
      ...process.env,
      DISPLAY: `:${number}`,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", // needs rights that containers lack
      WEBKIT_DISABLE_COMPOSITING_MODE: "1", // there is no GPU
    },
  });
  await e2e.listening(port);
  on.browser = await new Builder()
    .usingServer(`http://127.0.0.1:${port}`)
    .withCapabilities(
      new Capabilities({
        browserName: "MiniBrowser",
        "webkitgtk:browserOptions": { binary: BROWSER, args: ["--automation"] },
      }),
    )
    .build();
});
after(async () => {
  await on.browser?.quit().catch(() => undefined);
  on.driver?.kill();
  on.display?.kill();
  await on.server?.stop();
});

test("the app analyses recordings, and says what Python says", {
  skip: without || e2e.withoutCorpora(),
}, async () => {
  const note = path.join(e2e.scratch(), "note.wav");
  e2e.python("e2e/note_as_wav.py", e2e.NOTE, note);
  const flac = e2e.recordings().filter((file) => file.endsWith(".flac"));
  const files = [note, ...flac.filter((_, i) => i % 3 === 0)];
  assert.ok(files.length > 3);
  const expected = await e2e.analysedInPython(files);
  await on.browser.get(on.server.url);
  await on.browser.wait(until.elementLocated(By.css("html[data-ready=true]")), TIMEOUT_MS);
  await on.browser.executeScript(() => {
    const make = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (blob) => {
      if (blob.type.startsWith("application/json")) globalThis.lastSaved = blob.text();
      return make(blob);
    };
    // WebKitGTK's driver cannot answer the question where to put a download.
    HTMLAnchorElement.prototype.click = () => undefined;
  });
  for (const [i, file] of files.entries()) {
    e2e.requireSame(await analyse(file), expected[i], file);
  }
});

async function analyse(file) {
  const again = await on.browser.findElement(By.id("again"));
  if (await again.isDisplayed()) await again.click();
  await on.browser.findElement(By.id("file")).sendKeys(file);
  const result = By.css("#result:not([hidden])");
  await on.browser.wait(until.elementLocated(result), TIMEOUT_MS);
  await on.browser.executeScript(() => document.getElementById("save-json").click());
  return JSON.parse(await on.browser.executeScript(() => globalThis.lastSaved));
}

function firstLine(stream) {
  return new Promise((resolve) => {
    stream.once("data", (data) => resolve(String(data).trim()));
  });
}
