// Seconds per minute of speech, espressivo and the peer in turn.

import { fileURLToPath } from "node:url";
import { openPage, withChromium } from "./chromium.mjs";
import { serve } from "./server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Time espressivo, and the peer in two ways, `rounds` times each after a warm-up.
 *
 * @param {{ samples: string, library: string, model: string, peer: string }} paths -
 *   Raw float32 samples, the folder of espressivo.js, and both models' folders.
 */
export async function measureSpeed(paths, rounds) {
  const server = await serve({
    "/lib/": paths.library,
    "/models/ours/": paths.model,
    "/models/peer/": paths.peer,
    "/modules/": here("node_modules"),
    "/pages/": here("pages"),
    "/samples.f32": paths.samples,
  });
  try {
    return await withChromium(async (context) => {
      const ours = await open(context, `${server.url}pages/ours.html`);
      const peer = await open(context, `${server.url}pages/peer.html`);
      const ways = [
        { name: "ours", page: ours.page, call: "whole", seconds: [] },
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
        isolated: ours.isolated || peer.isolated,
        load_s: { ours: ours.seconds, peer: peer.seconds },
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
