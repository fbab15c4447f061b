// One set of tests in every engine: the page analyses recordings and says what Python
// says, and what it cannot analyse ends with an error that names the file.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { analyse, choose, ENGINES, openApp, refused } from "./engines.mjs";
import * as e2e from "./harness.mjs";

const folder = e2e.scratch();
const scratch = e2e.scratch();
const corpora = e2e.withoutCorpora() ? [] : e2e.recordings();
const expected = new Map(); // what Python says, by file
const MODELS = readdirSync(path.dirname(e2e.MODEL)).sort();
const DEFAULT = "espressivo-base";
const others = new Map(); // what Python says with each other model, by file
const formats = [];
// Name, content, and what is said of it. No browser decodes AMR.
const UNREAD = "(that this browser can decode|has not decoded it in 20 s)";
const AMR = [Buffer.from("#!AMR\n"), ...Array(50).fill(Buffer.alloc(32, "\x3c"))];
const FOREIGN = [
  [
    "words.txt",
    "These are words, no sound.",
    RegExp(`${UNREAD} \\(it is a text file\\).*wav`),
  ],
  ["call.amr", Buffer.concat(AMR), RegExp(`${UNREAD} \\(it is AMR\\).*wav`)],
  ["cut.m4a", readFileSync(e2e.NOTE).subarray(0, 900), /holds no audio stream/],
  ["empty.wav", "", /the file is empty; pass a recording/],
];
let server;

before(async () => {
  if (e2e.missing()) return;
  e2e.python("e2e/formats.py", folder);
  formats.push(...readdirSync(folder).map((name) => path.join(folder, name)));
  // All in one process, for all engines.
  const files = [e2e.NOTE, ...corpora, ...formats];
  const reports = await e2e.analysedInPython(files);
  for (const [i, file] of files.entries()) expected.set(file, reports[i]);
  for (const model of MODELS.filter((name) => name !== DEFAULT)) {
    const reports = await e2e.analysedInPython(formats, ["--model", model]);
    others.set(model, new Map(formats.map((file, i) => [file, reports[i]])));
  }
  server = await e2e.serve();
});
after(() => server?.stop());

for (const engine of ENGINES) {
  const skip = e2e.missing() || engine.without;
  describe(engine.name, { skip }, () => {
    let page;
    before(async () => {
      page = await openApp(engine, server.url);
    });
    after(() => page?.close());

    test("the example: the page shows what Python says", async () => {
      const report = requireSame(await analyse(page, e2e.NOTE), e2e.NOTE);
      assert.equal(report.summary, expected.get(e2e.NOTE).summary);
      const shown = await page.run(() => ({
        headline: document.getElementById("headline").textContent,
        focus: document.activeElement.id,
        rows: document.querySelectorAll("#table tbody tr").length,
      }));
      assert.ok(shown.headline.includes(report.emotion), shown.headline);
      assert.equal(shown.focus, "headline");
      assert.equal(shown.rows, report.windows.length);
    });

    // Without WebCodecs, the codecs of the formats tell as much.
    const without = e2e.withoutCorpora() || /without/.test(engine.name);
    test("30 recordings of the corpora", { skip: without }, async (t) => {
      assert.equal(new Set(corpora).size, 30);
      await requireAllSame(t, corpora);
    });

    test("rates, channels and codecs", async (t) => {
      assert.ok(formats.length > 10);
      await requireAllSame(t, formats);
    });

    for (const model of MODELS.filter((name) => name !== DEFAULT)) {
      test(`the same formats with ${model}`, async (t) => {
        await choose(page, model);
        await requireAllSame(t, formats, others.get(model));
        await choose(page, DEFAULT);
      });
    }

    test("what cannot be analysed is said, and costs nothing", async () => {
      for (const [name, content, what] of FOREIGN) {
        const file = path.join(scratch, name);
        writeFileSync(file, content);
        assert.match(await refused(page, file), what);
      }
      requireSame(await analyse(page, e2e.NOTE), e2e.NOTE);
    });

    test("no error was thrown, and no decoder fetched that the engine has", () => {
      assert.deepEqual(page.problems, []);
      const hasFetched = page.fetched?.some((url) => /\/decoders-[^/]+\.js$/.test(url));
      if (page.fetched) assert.equal(hasFetched, /without/.test(engine.name));
    });

    async function requireAllSame(t, files, wantedOf = expected) {
      let furthest = 0;
      for (const file of files) {
        const report = await analyse(page, file);
        const wanted = wantedOf.get(file);
        assert.equal(report.model.sha256, wanted.model.sha256);
        furthest = Math.max(furthest, e2e.requireSame(report, wanted, file));
        e2e.requireSameSound(report, wanted, file);
      }
      t.diagnostic(`probabilities at most ${furthest.toFixed(4)} apart`);
    }
  });
}

function requireSame(report, file) {
  e2e.requireSame(report, expected.get(file), file);
  return report;
}
