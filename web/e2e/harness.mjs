// What the browser tests share: the app as `espressivo serve` serves it, Debian's
// Chromium, Python beside it, and recordings.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const ROOT = path.resolve(import.meta.dirname, "../..");
export const NOTE = path.join(ROOT, "examples/voice-note.m4a");
export const MODEL = path.join(ROOT, "src/espressivo/assets/models/espressivo-tiny");
const SHARED = path.resolve(ROOT, "../shared");
const ESPRESSIVO = path.join(ROOT, ".venv/bin/espressivo");
const PYTHON = path.join(ROOT, ".venv/bin/python");
const CHROMIUM =
  process.env.CHROMIUM ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
    existsSync,
  );
const FLAGS = [
  "--no-sandbox", // of no use to root, as whom containers run
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const FRAME_S = 0.0325; // one frame of the voice activity detector, and rounding
export const PROBABILITY = 0.02;
const DIMENSION = 0.03; // a window of the long note has a valence 0.0205 apart
// Sign-in, autofill and updates, for which this Chromium asks its maker, whatever page
// is open and whatever the flags say; for updates without TLS too, when that is refused.
const CHROMIUMS_OWN =
  /^(CONNECT [\w.-]+\.(google|googleapis)\.com:443|POST http:\/\/update\.googleapis\.com\/\S+) /;
const run = promisify(execFile);

/** Why the browser tests cannot run here; false: they can. */
export function missing() {
  if (!CHROMIUM) return "needs Chromium (Debian's package chromium, or CHROMIUM=path)";
  if (!existsSync(ESPRESSIVO)) return "needs .venv (make .venv/.dev)";
  return false;
}

/** Why tests on the corpora cannot run here; false: they can. */
export function withoutCorpora() {
  if (missing()) return missing();
  return existsSync(path.join(SHARED, "corpora"))
    ? false
    : "needs ../shared, which is absent";
}

/** Odd recordings of ../shared/cases, by name. */
export function cases(names) {
  return names.map((name) => path.join(SHARED, "cases", name));
}

/** Why tests on odd recordings cannot run here; false: they can. */
export function withoutCases() {
  if (missing()) return missing();
  return existsSync(path.join(SHARED, "cases")) ? false : "needs ../shared/cases";
}

/** A folder of this test run, removed at its end. */
export function scratch() {
  const folder = mkdtempSync(path.join(tmpdir(), "espressivo-web-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Start `espressivo serve`; `requests` fills with what it is asked for. */
export async function serve() {
  const server = spawn(ESPRESSIVO, ["serve", "--port", "0", "--verbose"]);
  const requests = [];
  let told = "";
  server.stderr.on("data", (data) => {
    told += data;
    requests.push(...String(data).split("\n").filter(Boolean));
  });
  const url = await new Promise((resolve, reject) => {
    server.stdout.on("data", (data) => {
      const found = /http:\/\/\S+/.exec(data);
      if (found) resolve(found[0]);
    });
    server.on("exit", (code) =>
      reject(new Error(`espressivo serve ended (${code}): ${told}`)),
    );
  });
  const stop = () =>
    new Promise((resolve) => {
      server.on("exit", resolve);
      server.kill("SIGTERM");
    });
  return { url, requests, stop };
}

/** A port that nothing listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Wait until something listens on a port. */
export async function listening(port) {
  for (let tries = 0; tries < 200; tries++) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.end());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Start a proxy that lets nothing through, and keeps account of who was asked for. */
export async function blockade() {
  const asked = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (data) => {
      const request = String(data).split("\r\n")[0];
      if (!CHROMIUMS_OWN.test(request)) asked.push(request);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { asked, port: server.address().port, stop: () => server.close() };
}

/**
 * Start a static host that knows nothing: no headers but the type.
 *
 * @param stalls Paths of which half of the file is sent, and then nothing more.
 */
export async function plainHost(folder, at = "", stalls = null) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
  const host = createHttpServer((request, response) => {
    const asked = new URL(request.url, "http://host").pathname;
    const file = path.join(folder, asked.slice(at.length).replace(/\/$/, "/index.html"));
    if (!asked.startsWith(at) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const type = types[path.extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type });
    if (stalls?.test(asked)) {
      const bytes = readFileSync(file);
      response.write(bytes.subarray(0, bytes.length / 2));
      return;
    }
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${host.address().port}${at}/`;
  const stop = () => {
    host.closeAllConnections();
    host.close();
  };
  return { url, stop };
}

/**
 * Build the app with other models than the bundled ones.
 *
 * @param models Changes to the card of the bundled small model, by the name of the copy.
 * @returns The folder of the built app.
 */
export function built(models) {
  const folder = scratch();
  for (const [name, changes] of Object.entries(models)) {
    const copy = path.join(folder, "models", name);
    cpSync(MODEL, copy, { recursive: true });
    const card = JSON.parse(readFileSync(path.join(MODEL, "model.json"), "utf-8"));
    const text = JSON.stringify({ ...card, name, ...changes });
    writeFileSync(path.join(copy, "model.json"), text);
  }
  const vite = path.join(ROOT, "web/node_modules/vite/bin/vite.js");
  const out = path.join(folder, "dist");
  const options = {
    cwd: path.join(ROOT, "web"),
    env: { ...process.env, ESPRESSIVO_WEB_MODELS: path.join(folder, "models") },
  };
  const args = [vite, "build", "--outDir", out, "--logLevel", "error"];
  execFileSync(process.execPath, args, options);
  return out;
}

/**
 * Start Chromium.
 *
 * @param flags More of its flags.
 */
export function launch(flags = []) {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}

/**
 * What most tests share: the app being served, and a browser, which end with the file;
 * and what Python says of the note.
 */
export function stage() {
  const on = {};
  before(async () => {
    if (missing()) return;
    [on.note] = await analysedInPython([NOTE]);
    on.server = await serve();
    on.browser = await launch();
  });
  after(async () => {
    await on.browser?.close();
    await on.server?.stop();
  });
  return on;
}

/** Open the app in a context of its own, and wait until it can analyse. */
export async function openApp(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000); // a busy machine takes its time
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(url);
  await page.waitForSelector("html[data-ready=true]");
  return { context, page, problems };
}

/** Wait until the service worker has everything it needs. */
export function offlineReady(page) {
  return page.waitForSelector("html[data-offline=true]");
}

/** Analyse a file as a user would, and return what the page offers for download. */
export async function analyse(page, file) {
  await page.setInputFiles("#file", file);
  await resultShown(page);
  return reportOf(page);
}

/** Wait until the page shows a result; an alert in its place is an error, at once. */
export async function resultShown(page, options = {}) {
  const ended = () => {
    const { state } = document.documentElement.dataset;
    const [alert, text] = ["alert", "alert-text"].map((id) => document.getElementById(id));
    if (state === "result") return { alert: null };
    return state === "start" && !alert.hidden && { alert: text.textContent };
  };
  const { alert } = await (await page.waitForFunction(ended, null, options)).jsonValue();
  if (alert !== null) throw new Error(`no result, but an alert: ${alert}`);
}

/** Drop files or folders on the page, as the system's file manager would. */
export async function drop(page, files) {
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await drag(page, type, 180, 300, files);
  }
}

/** One step of dragging files over the page. */
export async function drag(page, type, x, y, files = [NOTE]) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  await session.send("Input.dispatchDragEvent", { type, x, y, data });
  await session.detach();
}

/** Download the shown report. */
export async function reportOf(page) {
  return JSON.parse(await saved(page, "#save-json"));
}

/** Click what downloads something, and return its text. */
export async function saved(page, button) {
  return readFileSync(await savedPath(page, button), "utf-8");
}

/** Click what downloads something, and return where it is; click again, as people do. */
export async function savedPath(page, button) {
  for (let clicks = 1; ; clicks++) {
    const coming = page.waitForEvent("download", { timeout: 10_000 });
    coming.catch(() => {}); // until it is awaited
    await page.click(button);
    try {
      return await (await coming).path();
    } catch (error) {
      // Once in some runs Chromium 156.0.8078.108 told of none; why is not known.
      if (clicks === 3) throw error;
      console.warn(`${button}: no download came of click ${clicks}`);
    }
  }
}

/** What the command line says of the same recordings. */
export async function analysedInPython(files, options = []) {
  const { stdout } = await run(ESPRESSIVO, ["analyze", ...files, "--json", ...options], {
    maxBuffer: 1e8,
  });
  return files.length === 1
    ? [JSON.parse(stdout)]
    : stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
}

/** Run the command line; return what it printed. */
export async function espressivo(...args) {
  return (await run(ESPRESSIVO, args)).stdout;
}

/** A file in base 64, which a page can be given. */
export function bytesOf(file) {
  return readFileSync(file).toString("base64");
}

/** Run one of our scripts. */
export function python(...args) {
  execFileSync(PYTHON, args, { cwd: path.join(ROOT, "web") });
}

/** Have Python write a WAV file of real speech with pauses and noise, some minutes long. */
export async function longNote(to, minutes, rate = 48_000) {
  await run(PYTHON, [path.join(import.meta.dirname, "long_note.py"), to, minutes, rate]);
  return to;
}

/** Thirty recordings, evenly over each corpus's list. */
export function recordings() {
  const counts = { ravdess: 9, tess: 6, nemo: 8, emodb: 7 };
  return Object.entries(counts).flatMap(([corpus, wanted]) => {
    const folder = path.join(SHARED, "corpora", corpus);
    const files = readdirSync(folder, { recursive: true })
      .filter((file) => /\.(flac|opus)$/.test(file))
      .sort();
    return Array.from({ length: wanted }, (_, i) =>
      path.join(folder, files[Math.floor(((i + 0.5) * files.length) / wanted)]),
    );
  });
}

/**
 * Same segments and windows to one frame, probabilities within 0.02, same emotion.
 *
 * @returns How far apart the furthest probability is.
 */
export function requireSame(found, expected, name) {
  assert.equal(found.emotion, expected.emotion, `${name}: emotion`);
  near(found.duration_s, expected.duration_s, FRAME_S, `${name}: duration`);
  for (const spans of ["segments", "windows"]) {
    assert.equal(
      found[spans].length,
      expected[spans].length,
      `${name}: number of ${spans}`,
    );
    for (const [i, span] of found[spans].entries()) {
      for (const end of ["start_s", "end_s"]) {
        near(span[end], expected[spans][i][end], FRAME_S, `${name}: ${spans} ${i} ${end}`);
      }
    }
  }
  let furthest = 0;
  const rows = [found, ...found.windows];
  const wanted = [expected, ...expected.windows];
  const threshold = expected.model.certainty?.threshold ?? 0;
  for (const [i, row] of rows.entries()) {
    const top = Math.max(...Object.values(wanted[i].probabilities ?? {}));
    if (Math.abs(top - threshold) > PROBABILITY)
      assert.equal(row.uncertain, wanted[i].uncertain, `${name}: row ${i} uncertain`);
    for (const [emotion, p] of Object.entries(row.probabilities ?? {})) {
      const q = wanted[i].probabilities[emotion];
      near(p, q, PROBABILITY, `${name}: row ${i} ${emotion}`);
      furthest = Math.max(furthest, Math.abs(p - q));
    }
    for (const [dimension, x] of Object.entries(row.dimensions ?? {})) {
      const y = wanted[i].dimensions[dimension];
      near(x, y, DIMENSION, `${name}: row ${i} ${dimension}`);
    }
  }
  return furthest;
}

/**
 * The same track, channels and holes; a cut is told by both or by neither.
 */
export function requireSameSound(found, expected, name) {
  assert.equal(found.track, expected.track, `${name}: track`);
  assert.equal(found.channels, expected.channels, `${name}: channels`);
  assert.equal(found.gaps.length, expected.gaps.length, `${name}: number of gaps`);
  for (const [i, gap] of found.gaps.entries()) {
    for (const end of ["start_s", "end_s"]) {
      near(gap[end], expected.gaps[i][end], FRAME_S, `${name}: gap ${i} ${end}`);
    }
  }
  for (const kind of ["truncated", "audio tracks", "cancel or blur"]) {
    const [here, there] = [found, expected].map(({ warnings }) =>
      warnings.some((warning) => warning.includes(kind)),
    );
    assert.equal(here, there, `${name}: warns of '${kind}'`);
  }
}

function near(a, b, tolerance, name) {
  assert.ok(Math.abs(a - b) <= tolerance, `${name}: ${a}, and Python says ${b}`);
}
