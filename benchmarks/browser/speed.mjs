// Seconds per minute of speech, espressivo and the peer in turn.

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage, withChromium } from "./chromium.mjs";
import { serve } from "./server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Time espressivo with each model, and the peer in two ways, `rounds` times each after a
 * warm-up.
 *
 * @param {{ samples: string, library: string, model: string[], peer: string }} paths -
 *   Raw float32 samples, the folder of espressivo.js, our models' folders and the peer's.
 */
export async function measureSpeed(paths, rounds) {
  const models = paths.model.map((folder) => [basename(folder), folder]);
  const server = await serve({
    "/lib/": paths.library,
    ...Object.fromEntries(models.map(([name, folder]) => [`/models/${name}/`, folder])),
    "/models/peer/": paths.peer,
    "/modules/": here("node_modules"),
    "/pages/": here("pages"),
    "/samples.f32": paths.samples,
  });
  try {
    return await withChromium(async (context) => {
      const ours = {};
      for (const [name] of models)
        ours[name] = await open(context, `${server.url}pages/ours.html?model=${name}`);
      const peer = await open(context, `${server.url}pages/peer.html`);
      const ways = [
        ...Object.entries(ours).map(([name, { page }]) => {
          return { name, page, call: "whole", seconds: [] };
        }),
        { name: "peer, whole", page: peer.page, call: "whole", seconds: [] },
        { name: "peer, 8 s windows", page: peer.page, call: "windows", seconds: [] },
      ];
      for (let round = -1; round < rounds; round++) {
        for (const way of ways) {
          await way.page.bringToFront(); // Chromium slows pages that nobody sees
          const { seconds, answer } = await way.page.evaluate(
            (call) => window.benchmark[call](),
            way.call,
          );
          const when = round < 0 ? "warm-up" : `round ${round + 1}`;
          console.error(`${when}, ${way.name}: ${seconds.toFixed(2)} s`);
          if (round >= 0) way.seconds.push(seconds);
          way.answer = answer;
        }
      }
      return {
        isolated: peer.isolated || Object.values(ours).some((page) => page.isolated),
        load_s: Object.fromEntries(
          Object.entries({ ...ours, peer }).map(([name, { seconds }]) => [name, seconds]),
        ),
        ways: ways.map(({ name, seconds, answer }) => ({ name, seconds, answer })),
      };
    });
  } finally {
    await server.close();
  }
}

async function open(context, url) {
  const page = await openPage(context);
  await page.goto(url);
  await page.waitForFunction(() => window.benchmark);
  const began = performance.now();
  await page.evaluate(() => window.benchmark.load());
  const seconds = (performance.now() - began) / 1000;
  const isolated = await page.evaluate(() => window.crossOriginIsolated);
  return { page, seconds, isolated };
}
