// The interface of the npm package, in a page without a bundler.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import * as e2e from "./harness.mjs";

const WEB = path.join(e2e.ROOT, "web");
const PAGE = `
import { AudioError, loadModel } from "./lib/espressivo.js";
const analyzer = await loadModel("lib/models/espressivo-tiny/");
window.analyzer = analyzer;
window.live = async (samples) => {
  const stream = analyzer.stream({ hop_s: 1 });
  const found = { windows: 0, provisional: 0 };
  for (let at = 0; at < samples.length; at += 1000) {
    const heard = await stream.push(samples.slice(at, at + 1000));
    found.windows += heard.estimates.length;
    found.provisional += heard.provisional ? 1 : 0;
  }
  return { ...found, report: (await stream.finish()).toDict() };
};
window.whenClosed = async (samples) => {
  const other = await loadModel("lib/models/espressivo-tiny/");
  const cut = other.analyze(samples);
  other.close();
  return cut.then(() => "finished", (error) => error.name);
};
window.whenCancelled = (samples) => {
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  const cut = analyzer.analyze(samples, { signal: controller.signal, onProgress });
  return cut.then(() => "finished", (error) => error.name);
};
window.load = (folder, timeout_s, signal, assets) =>
  loadModel(folder, { timeout_s, signal, assets }).then(() => "loaded", told);
window.hear = (recording, options) =>
  analyzer.analyze(recording, options).then((report) => report.toDict(), told);
const told = ({ name, message }) => name + ": " + message;
window.wrong = () => analyzer.analyze(new Blob(["words"])).catch((e) => e instanceof AudioError);
document.documentElement.dataset.ready = "true";
`;

const skip = e2e.missing();
const site = e2e.scratch();
let browser;

before(async () => {
  if (skip) return;
  browser = await e2e.launch();
  symlinkSync(path.join(WEB, "lib"), path.join(site, "lib"));
  writeFileSync(path.join(site, "page.js"), PAGE);
  const tag = '<script type="module" src="./page.js"></script>';
  writeFileSync(path.join(site, "index.html"), `<!doctype html><title>x</title>${tag}`);
});
after(() => browser?.close());

test("no chunk of the app imports the worker's entry, which WebKit would evaluate twice", () => {
  const folder = path.join(WEB, "dist/assets");
  const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));
  assert.ok(scripts.some((name) => name.startsWith("worker-")));
  for (const name of scripts) {
    const code = readFileSync(path.join(folder, name), "utf-8");
    const asked = /(from|import)\s*\(?["'`]\.\/worker-/.exec(code);
    assert.equal(asked, null, name);
  }
});

test("live, closed, and cancelled", { skip }, async () => {
  const host = await e2e.plainHost(site);
  try {
    const { page, problems } = await e2e.openApp(browser, host.url);
    const [expected] = await e2e.analysedInPython(
      [e2e.NOTE],
      ["--model", "espressivo-tiny"],
    );
    // A thousand samples at a time, it comes to the same windows.
    const n = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const context = new OfflineAudioContext(1, 1, 16_000);
      const buffer = await context.decodeAudioData(bytes.buffer);
      window.samples = buffer.getChannelData(0);
      return window.samples.length;
    }, e2e.bytesOf(e2e.NOTE));
    assert.ok(n > 24 * 16_000);
    const live = await page.evaluate(() => window.live(window.samples));
    assert.equal(live.report.windows.length, expected.windows.length);
    assert.ok(live.windows >= expected.windows.length - 1); // the last comes at the end
    assert.ok(live.provisional > 10, `${live.provisional} provisional estimates`);
    assert.equal(live.report.emotion, expected.emotion);

    assert.equal(await page.evaluate(() => window.wrong()), true);
    for (const way of ["whenClosed", "whenCancelled"]) {
      const end = await page.evaluate((name) => window[name](window.samples), way);
      assert.equal(end, "AbortError", way);
    }
    assert.deepEqual(problems, []);
  } finally {
    host.stop();
  }
});

test("what it takes, and how long it waits", { skip }, async () => {
  const host = await e2e.plainHost(site);
  try {
    const { context, page } = await e2e.openApp(browser, host.url);
    await context.route("**/hang/**", () => {}); // never answered
    const note = await e2e.bytesOf(e2e.NOTE);
    const heard = await page.evaluate(hearAll, note);
    const { "a Blob": first, ...others } = heard;
    assert.deepEqual([first.duration_s, first.channels, first.track], [6, "mono", 1]);
    assert.ok(first.windows.length > 0);
    assert.equal(Object.keys(others).length, 10);
    for (const [name, report] of Object.entries(others)) {
      e2e.requireSame(report, first, name);
      assert.equal(report.channels, /channels/.test(name) ? "mixed" : "mono", name);
    }
    const refused = await page.evaluate(refuseAll);
    for (const [wanted, found] of refused) assert.match(found, new RegExp(wanted));
    assert.match(
      await page.evaluate(() => window.load("lib/models/espressivo-tiny/", 20, null, "/")),
      /^EspressivoError: the worker cannot start: there is no script at .*worker\.js; copy/,
    );
    await context.route("**/assets/worker*.js", () => {});
    assert.match(
      await page.evaluate(() => window.load("lib/models/espressivo-tiny/", 0.2)),
      /^EspressivoError: the worker has given no sign of life for 0.6/,
    );
  } finally {
    host.stop();
  }
});

test("one file after another, some of them cancelled or broken", { skip }, async () => {
  const host = await e2e.plainHost(site);
  try {
    const { page, problems } = await e2e.openApp(browser, host.url);
    const note = await e2e.bytesOf(e2e.NOTE);
    const { reports, errors, late } = await page.evaluate(hearQueue, note);
    assert.equal(reports.length, 3);
    for (const report of reports) assert.deepEqual(report, reports[0]);
    assert.deepEqual(errors, ["AudioError", "AbortError", "AbortError", "AbortError"]);
    assert.equal(late, 0);
    assert.deepEqual(problems, []);
  } finally {
    host.stop();
  }
});

/** In the page: a note between others that fail, are cancelled at once, or midway. */
async function hearQueue(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const [reports, errors] = [[], []];
  let late = 0;
  const heard = async (content, cancelled) => {
    const controller = new AbortController();
    let ended = false;
    const onProgress = () => {
      late += ended;
      if (cancelled === "midway") controller.abort();
    };
    const options = { name: "note", signal: controller.signal, onProgress };
    const report = window.analyzer.analyze(new Blob([content]), options);
    if (cancelled === "at once") queueMicrotask(() => controller.abort());
    if (cancelled === "soon") setTimeout(() => controller.abort(), 5);
    await report.then(
      (found) => reports.push({ ...found.toDict(), loudness: [...found.loudness] }),
      ({ name }) => errors.push(name),
    );
    ended = true;
  };
  await heard(bytes);
  await heard(bytes.subarray(0, 99));
  await heard(bytes);
  for (const cancelled of ["at once", "soon", "midway"]) await heard(bytes, cancelled);
  await heard(bytes);
  return { reports, errors, late };
}

/** In the page: six seconds of a note in every form that is taken. */
async function hearAll(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const context = new OfflineAudioContext(1, 1, 16_000);
  const whole = (await context.decodeAudioData(bytes.buffer)).getChannelData(0);
  const pcm = Int16Array.from(whole.subarray(0, 96_000), (x) => Math.round(x * 32_768));
  const samples = Float32Array.from(pcm, (x) => x / 32_768);
  const head = new DataView(new ArrayBuffer(44));
  const words = [0x52494646, 0, 0x57415645, 0x666d7420];
  for (const [i, word] of words.entries()) head.setUint32(4 * i, word);
  head.setUint32(4, 36 + pcm.byteLength, true);
  head.setUint32(16, 16, true);
  for (const [i, word] of [1, 1, 16_000, 0, 32_000, 0, 2, 16].entries())
    head.setUint16(20 + 2 * i, word, true);
  head.setUint32(36, 0x64617461);
  head.setUint32(40, pcm.byteLength, true);
  const wav = await new Blob([head, pcm]).arrayBuffer();
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: 16_000 });
  buffer.copyToChannel(samples, 0);
  const url = URL.createObjectURL(new Blob([wav]));
  const forms = {
    "a Blob": new Blob([wav]),
    "an ArrayBuffer": wav.slice(0),
    bytes: new Uint8Array(wav),
    "a DataView": new DataView(wav),
    "a Response": new Response(wav),
    "a URL": new URL(url),
    text: url,
    "an AudioBuffer": buffer,
    floats: samples,
    PCM: pcm,
    "two channels": [samples, samples],
  };
  const heard = {};
  for (const [name, form] of Object.entries(forms)) heard[name] = await window.hear(form);
  return heard;
}

/** In the page: what is refused, and what each message must match. */
async function refuseAll() {
  const soon = (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    return controller.signal;
  };
  const samples = new Float32Array(16_000);
  const { hear, load } = window;
  return Promise.all(
    Object.entries({
      "^TypeError: a recording cannot be undefined; pass a File": hear(undefined),
      "^TypeError: a recording cannot be a Promise": hear(Promise.resolve(samples)),
      "^TypeError: a recording cannot be an Int8Array": hear(new Int8Array(9)),
      "^AudioError: array: sample rate is 0; pass": hear(samples, { sampleRate: 0 }),
      "^AudioError: array: sample rate is NaN; pass": hear(samples, {
        sampleRate: Number.NaN,
      }),
      "^AudioError: array: sample 0 is NaN or infinite .9 of 9 are.": hear(
        new Float32Array(9).fill(Number.NaN),
      ),
      "^AudioError: recording: the file is empty": hear(new ArrayBuffer(0)),
      "^AudioError: recording: is no recording": hear(new Uint8Array(999)),
      "^AudioError: missing.wav: the server says 404": hear("missing.wav"),
      "^AbortError": hear("hang/x.wav", { signal: soon(100) }),
      "^AbortError:": load("hang/model", 20, soon(100)),
      "^ModelError: .*hang/model/model.json: has sent nothing for 0.3 s": load(
        "hang/model",
        0.3,
      ),
      "^EspressivoError: timeout_s is 0": load("hang/model", 0),
    }).map(async ([wanted, found]) => [wanted, await found]),
  );
}
