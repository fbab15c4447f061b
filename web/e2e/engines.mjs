// The engines in which the same tests run: Chromium, with and without WebCodecs, Firefox
// and WebKit. Playwright drives only a Firefox and a WebKit of its own, so Debian's are
// driven by Puppeteer (WebDriver BiDi) and by WebKitWebDriver.

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import puppeteer from "puppeteer-core";
import { Builder, By, Capabilities } from "selenium-webdriver";
import * as e2e from "./harness.mjs";

const FIREFOX =
  process.env.FIREFOX ?? ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find(existsSync);
const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
const WEBKIT = existsSync(LIBRARIES)
  ? readdirSync(LIBRARIES)
      .filter((name) => name.startsWith("webkit2gtk-4"))
      .map((name) => path.join(LIBRARIES, name, "MiniBrowser"))
      .find(existsSync)
  : undefined;
const DRIVER = "/usr/bin/WebKitWebDriver";
const DISPLAY_SERVER = "/usr/bin/Xvfb";
const TIMEOUT_MS = 120_000; // a busy machine takes its time

/**
 * Name of an engine, why it cannot run here (false: it can), and how it opens an address:
 * as `run` (a function in the page), `give` (a file, to `#file`), `problems`, `close` and,
 * where the driver tells, what the page has `fetched`.
 */
export const ENGINES = [
  { name: "Chromium", without: false, open: (url) => openChromium(url, true) },
  {
    name: "Chromium without WebCodecs",
    without: false,
    open: (url) => openChromium(url, false),
  },
  {
    name: "Firefox",
    without: FIREFOX ? false : "needs Firefox (Debian's package firefox-esr)",
    open: openFirefox,
  },
  {
    name: "WebKit",
    without:
      WEBKIT && [DRIVER, DISPLAY_SERVER].every(existsSync)
        ? false
        : "needs WebKitGTK and a display (Debian's packages webkit2gtk-driver and xvfb)",
    open: openWebKit,
  },
];

/** Open the app in an engine, and wait until it can analyse. */
export async function openApp(engine, url) {
  const page = await engine.open(url);
  try {
    await until(page, () => document.documentElement.dataset.ready === "true");
    await page.run(keepSaved);
    return page;
  } catch (error) {
    await page.close();
    throw error;
  }
}

/** Analyse a file, and return what the page would save; an alert is an error, at once. */
export async function analyse(page, file) {
  await begin(page, file);
  const ended = await until(page, () => {
    const { state } = document.documentElement.dataset;
    const [alert, text] = ["alert", "alert-text"].map((id) => document.getElementById(id));
    if (state === "result") return { alert: null };
    return state === "start" && !alert.hidden && { alert: text.textContent };
  });
  if (ended.alert !== null) throw new Error(`${file}: ${ended.alert}`);
  return JSON.parse(
    await page.run(() => {
      document.getElementById("save-json").click();
      return globalThis.lastSaved.text();
    }),
  );
}

/** Choose a model as people do, and wait until it is in use. */
export async function choose(page, model) {
  await page.run((model) => {
    const select = document.getElementById("model");
    select.value = model;
    select.dispatchEvent(new Event("change"));
  }, model);
  await until(
    page,
    (model) =>
      document.getElementById("model-now").textContent.startsWith(`${model} `) &&
      document.getElementById("status").textContent === "Ready.",
    model,
  );
}

/** Give the page a file that is no recording, and return what it says. */
export async function refused(page, file) {
  await begin(page, file);
  const name = path.basename(file);
  return until(
    page,
    (name) => {
      const [alert, text] = ["alert", "alert-text"].map((id) =>
        document.getElementById(id),
      );
      const { state } = document.documentElement.dataset;
      return (
        state === "start" &&
        !alert.hidden &&
        text.textContent.includes(name) &&
        text.textContent
      );
    },
    name,
  );
}

async function begin(page, file) {
  await page.run(() => {
    const again = document.getElementById("again");
    if (again.checkVisibility()) again.click();
  });
  await page.give(file);
}

/** Wait until a function of the page returns something. */
export async function until(page, of, argument = null) {
  const last = Date.now() + TIMEOUT_MS;
  for (;;) {
    const found = await page.run(of, argument);
    if (found) return found;
    if (Date.now() > last) throw new Error(`${of} has not come true`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** In the page: keep what it saves, since not every driver tells of downloads. */
function keepSaved() {
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    if (blob.type.startsWith("application/json")) globalThis.lastSaved = blob;
    return make(blob);
  };
  // WebKitGTK's driver cannot answer the question where to put a download.
  HTMLAnchorElement.prototype.click = () => undefined;
}

async function openChromium(url, hasCodecs) {
  const browser = await e2e.launch();
  // A service worker would fetch the page's worker past the route.
  const serviceWorkers = hasCodecs ? "allow" : "block";
  const page = await (await browser.newContext({ serviceWorkers })).newPage();
  const problems = [];
  const fetched = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => fetched.push(request.url()));
  if (!hasCodecs) {
    const missing =
      "for (const name of ['AudioDecoder', 'AudioData']) delete globalThis[name];";
    await page.addInitScript(missing);
    await page.route(/\/worker-[^/]+\.js$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${missing}${await response.text()}` });
    });
  }
  await page.goto(url);
  return {
    problems,
    fetched,
    run: (of, argument) => page.evaluate(of, argument),
    give: (file) => page.setInputFiles("#file", file),
    close: () => browser.close(),
  };
}

async function openFirefox(url) {
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX });
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(url);
  return {
    problems,
    run: (of, argument) => page.evaluate(of, argument),
    give: async (file) => (await page.$("#file")).uploadFile(file),
    close: () => browser.close(),
  };
}

async function openWebKit(url) {
  const display = spawn(DISPLAY_SERVER, ["-displayfd", "1", "-nolisten", "tcp"]);
  const number = await new Promise((resolve) => {
    display.stdout.once("data", (data) => resolve(String(data).trim()));
  });
  const port = await e2e.freePort();
  const driver = spawn(DRIVER, [`--port=${port}`], {
    env: {
      ...process.env,
      DISPLAY: `:${number}`,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", // needs rights that containers lack
      WEBKIT_DISABLE_COMPOSITING_MODE: "1", // there is no GPU
    },
  });
  await e2e.listening(port);
  const browser = await new Builder()
    .usingServer(`http://127.0.0.1:${port}`)
    .withCapabilities(
      new Capabilities({
        browserName: "MiniBrowser",
        "webkitgtk:browserOptions": { binary: WEBKIT, args: ["--automation"] },
      }),
    )
    .build();
  await browser.get(url);
  return {
    problems: [], // its driver tells of none
    run: (of, argument) => browser.executeScript(of, argument),
    give: (file) => browser.findElement(By.id("file")).sendKeys(file),
    close: async () => {
      await browser.quit().catch(() => undefined);
      driver.kill();
      display.kill();
    },
  };
}
