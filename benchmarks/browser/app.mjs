// Cost of opening the app: bytes, and seconds until it can analyse.

import { openPage, withChromium } from "./chromium.mjs";
import { count } from "./server.mjs";

const QUIET_MS = 2000;

/**
 * Open the app with an empty browser profile, then again in the same one, `opens` times.
 *
 * @param model Name of the model that the user is taken to have chosen before.
 */
export async function measureApp(url, model, opens) {
  const download = await countDownload(url, model);
  const found = [];
  for (let i = 0; i < opens; i++) {
    const both = await withChromium((context) => openTwice(context, url, model));
    const [cold, warm] = [both.cold.seconds, both.warm.seconds].map((s) => s.toFixed(2));
    console.error(`open ${i + 1}: ${cold} s, again ${warm} s`);
    found.push(both);
  }
  return {
    download,
    cold_s: found.map(({ cold }) => cold.seconds),
    warm_s: found.map(({ warm }) => warm.seconds),
    warm_from_worker: found.every(({ warm }) => warm.controlled),
    isolated: found.every(({ cold }) => cold.isolated),
  };
}

/** Bytes from the server until the app is ready, until all is quiet, and on reopening. */
async function countDownload(url, model) {
  const counter = await count(url);
  try {
    return await withChromium(async (context) => {
      const first = await openPage(context);
      await ready(first, counter.url, model);
      const untilReady = counter.bytes;
      await settled(first);
      await quiet(counter);
      const all = counter.bytes;
      await first.close();
      await ready(await openPage(context), counter.url, model);
      await quiet(counter);
      const again = counter.bytes - all;
      return { until_ready_bytes: untilReady, all_bytes: all, again_bytes: again };
    });
  } finally {
    await counter.close();
  }
}

async function openTwice(context, url, model) {
  const first = await openPage(context);
  const cold = await ready(first, url, model);
  await settled(first);
  await first.close();
  return { cold, warm: await ready(await openPage(context), url, model) };
}

/** Seconds from the start of navigation until the page says that it is ready. */
async function ready(page, url, model) {
  await page.addInitScript((name) => {
    localStorage.setItem("espressivo.model", name);
    const look = () => {
      if (document.documentElement?.dataset.ready === "true") {
        window.readyAt ??= performance.now();
      }
    };
    const what = { attributeFilter: ["data-ready"], childList: true, subtree: true };
    new MutationObserver(look).observe(document, what);
  }, model);
  await page.goto(url);
  await page.waitForFunction(() => window.readyAt, undefined, { polling: 50 });
  return page.evaluate(() => ({
    seconds: window.readyAt / 1000,
    controlled: navigator.serviceWorker?.controller != null,
    isolated: window.crossOriginIsolated,
  }));
}

/** Wait until the service worker has cached its files, and the model. */
async function settled(page) {
  await page.waitForSelector("html[data-offline=true]");
}

async function quiet(counter) {
  counter.last = performance.now();
  while (performance.now() - counter.last < QUIET_MS) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
