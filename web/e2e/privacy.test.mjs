// Nothing leaves the device: not by what the app does, and not if it wanted to.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const FOREIGN = "http://example.org/";

const skip = e2e.missing();
let server;
let browser;
let blockade;

before(async () => {
  if (skip) return;
  server = await e2e.serve();
  blockade = await e2e.blockade();
  // Whatever is not for this machine goes through the blockade, whoever asks for it.
  browser = await e2e.launch([`--proxy-server=127.0.0.1:${blockade.port}`]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  blockade?.stop();
});

test("while a file is analysed nobody is asked for anything", { skip }, async () => {
  const { page } = await e2e.openApp(browser, server.url);
  await e2e.offlineReady(page);
  const before = server.requests.length;
  assert.ok(before > 5, "the server tells what it is asked for");
  const seen = [];
  page.context().on("request", (request) => seen.push(request));
  await e2e.analyse(page, e2e.NOTE);
  await page.click("#timeline .plot");
  await page.waitForFunction(() => document.getElementById("sound").currentTime > 0.3);
  assert.deepEqual(server.requests.slice(before), []);
  // A blob is the recording itself; the icon, which Chromium asks for late, is in the
  // service worker's store.
  const asked = seen.filter((request) => !request.url().startsWith("blob:"));
  for (const request of asked) {
    assert.ok((await request.response())?.fromServiceWorker(), request.url());
  }
  assert.deepEqual(blockade.asked, []);
});

test("the policy forbids page and worker every other host", { skip }, async () => {
  const { page } = await e2e.openApp(browser, server.url);
  await requireShut(page);
});

test("on a host that sends no headers, the service worker does it", { skip }, async () => {
  const plain = await e2e.plainHost(path.join(e2e.ROOT, "web/dist"), "/some/folder");
  try {
    const [{ emotion }] = await e2e.analysedInPython([e2e.NOTE]);
    const { page } = await e2e.openApp(browser, plain.url);
    assert.equal((await e2e.analyse(page, e2e.NOTE)).emotion, emotion);
    await e2e.offlineReady(page);
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    await requireShut(page);
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    assert.equal((await e2e.analyse(page, e2e.NOTE)).emotion, emotion);
  } finally {
    plain.stop();
  }
});

/** Nothing foreign can be fetched by the page, its worker, a picture or a form. */
async function requireShut(page) {
  const attempts = (url) => [
    fetch(url, { mode: "no-cors" }).then(
      () => "fetched",
      () => "refused",
    ),
  ];
  const ask = `(${attempts})("${FOREIGN}")[0]`;
  assert.equal(await page.evaluate(ask), "refused", "page");
  const [worker] = page.workers().filter((each) => /worker/.test(each.url()));
  assert.ok(worker, "the app works in a worker");
  assert.equal(await worker.evaluate(ask), "refused", "worker");
  const picture = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const image = new Image();
        image.onload = () => resolve("loaded");
        image.onerror = () => resolve("refused");
        image.src = url;
      }),
    FOREIGN,
  );
  assert.equal(picture, "refused", "picture");
  const beacon = await page.evaluate((url) => {
    const refused = new Promise((resolve) =>
      document.addEventListener("securitypolicyviolation", (event) =>
        resolve(event.violatedDirective),
      ),
    );
    navigator.sendBeacon(url, "x");
    return refused;
  }, FOREIGN);
  assert.equal(beacon, "connect-src");
  assert.deepEqual(blockade.asked, []);
}
