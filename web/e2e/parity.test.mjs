// Chromium and Python agree: on a long note, on odd recordings, and on what a profile makes
// of a voice. What every engine is tested for is in engines.test.mjs.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import * as e2e from "./harness.mjs";

const skip = e2e.missing();
const on = e2e.stage();

test("a long note at 48 kHz, in pieces", { skip: e2e.withoutCorpora() }, async (t) => {
  const note = await e2e.longNote(path.join(e2e.scratch(), "long.wav"), 3);
  const [{ windows }] = await requireAllSame(t, [note]);
  assert.ok(windows.length > 15);
});

test("a compressed note; JSON and CSV have Python's form", { skip }, async () => {
  const [expected] = await e2e.analysedInPython([e2e.NOTE]);
  const { page } = await e2e.openApp(on.browser, on.server.url);
  const report = await e2e.analyse(page, e2e.NOTE);
  e2e.requireSame(report, expected, "voice note");
  assert.deepEqual(shape(report), shape(expected));
  const csv = await e2e.saved(page, "#save-csv");
  const python = await e2e.espressivo("analyze", e2e.NOTE, "--csv");
  const fixed = (text) => text.split("\n").map((row) => row.split(",").slice(1, 6).join());
  assert.deepEqual(fixed(csv), fixed(python)); // spans, emotions, certainty; columns in order
  assert.equal(csv.split("\n")[0], python.split("\n")[0]);
});

test("a profile made here is Python's, and judges alike", { skip }, async () => {
  const { page } = await e2e.openApp(on.browser, on.server.url);
  await page.click("#voice summary");
  await page.fill("#voice-name", "Zoë");
  await page.click("#new-voice button");
  await page.waitForFunction(() => document.getElementById("speaker").value === "Zoë");
  const first = await e2e.analyse(page, e2e.NOTE);
  assert.equal(first.adaptation.n_windows, 0);
  await page.waitForFunction(() =>
    /4 windows/.test(document.getElementById("speaker-facts").textContent),
  );
  const profile = path.join(e2e.scratch(), "Zoë.json");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.click("#speaker-export"),
  ]);
  await download.saveAs(profile);
  assert.match(
    await e2e.espressivo("profile", "show", profile),
    /4 windows of 1 recording/,
  );

  await page.uncheck("#learn");
  const options = ["--speaker", profile, "--no-update"];
  for (const together of [false, true]) {
    await page.setChecked("#together", together);
    const found = await e2e.analyse(page, e2e.NOTE);
    const more = together ? ["--adapt"] : [];
    const [expected] = await e2e.analysedInPython([e2e.NOTE], [...options, ...more]);
    e2e.requireSame(found, expected, `with a profile, together: ${together}`);
    assert.ok(found.adaptation.weight > 0);
    for (const name of ["weight", "offset", "deviation", "change", "distance"]) {
      const [one, other] = [found, expected].map(({ adaptation }) => adaptation[name]);
      assert.ok(Math.abs(one - other) < 2 * e2e.PROBABILITY, `${name}: ${one}, ${other}`);
    }
    assert.deepEqual(shape(found), shape(expected));
  }
});

/** Compare what both say of each file, and tell how far apart they are. */
async function requireAllSame(t, files) {
  const expected = await e2e.analysedInPython(files);
  const { page, problems } = await e2e.openApp(on.browser, on.server.url);
  let furthest = 0;
  for (const [i, file] of files.entries()) {
    const report = await e2e.analyse(page, file);
    const name = path.basename(file);
    const apart = e2e.requireSame(report, expected[i], name);
    e2e.requireSameSound(report, expected[i], name);
    furthest = Math.max(furthest, apart);
  }
  t.diagnostic(`probabilities at most ${furthest.toFixed(4)} apart`);
  assert.deepEqual(problems, []);
  return expected;
}

/** The names and kinds of all fields, in order. */
function shape(value) {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (value === null || typeof value !== "object")
    return value === null ? null : typeof value;
  return Object.entries(value).map(([name, each]) => [name, shape(each)]);
}

// What people have, and players play; the right answers are in ../shared/cases/README.md.
const CASES = [
  "adts-vbr.aac",
  "beep-then-quiet.flac",
  "browser-chained.ogg",
  "browser-concatenated.mp3",
  "browser-preskip-1s.ogg",
  "clean.opus",
  "dc-offset-quiet.flac",
  "gap-of-10s.webm",
  "iphone-voice-memo.qta",
  "latin1-tag.opus",
  "one-of-2-channels-quiet.flac",
  "phase-inverted.m4a",
  "picture-longer-than-sound.mp4",
  "read-4s.flac",
  "recordrtc-riff-size.wav",
  "second-track-default.mkv",
  "sox-to-pipe.wav",
  "stereo.opus",
  "telegram-android-no-eos.ogg",
  "telephone-8khz.wav",
  "trimmed-end.m4a",
];

test("odd recordings of bug reports", { skip: e2e.withoutCases() }, (t) =>
  requireAllSame(t, e2e.cases(CASES)),
);

test("holes, late sound, tracks, channels, and files put together", { skip }, async (t) => {
  const folder = e2e.scratch();
  e2e.python("e2e/odd.py", folder);
  const files = readdirSync(folder).map((name) => path.join(folder, name));
  const expected = await requireAllSame(t, files);
  assert.ok(files.length > 12);
  assert.ok(expected.filter(({ gaps }) => gaps.length > 0).length > 4);
  const channels = new Set(expected.map((report) => report.channels));
  assert.deepEqual(channels, new Set(["mono", "mixed", "left", "right"]));
});
