// Memory of the app while it analyses a file (Linux: read from /proc).

import { readdirSync, readFileSync } from "node:fs";
import { openPage, withChromium } from "./chromium.mjs";

const PAGE_BYTES = 4096;

/** Analyse each file in a separate Chromium; return time and memory of each. */
export async function measureMemory(url, files) {
  const found = [];
  for (const file of files) {
    found.push(await withChromium((context) => measure(context, url, file)));
    const { seconds, idle_bytes, peak_bytes } = found.at(-1);
    const [idle, peak] = [idle_bytes, peak_bytes].map((n) => Math.round(n / 1e6));
    console.error(`${file}: ${seconds.toFixed(1)} s, ${idle} MB before, ${peak} MB at most`);
  }
  return { files: found };
}

async function measure(context, url, file) {
  const page = await openPage(context);
  await page.goto(url);
  await page.waitForSelector("html[data-ready=true]");
  const idle = renderersBytes();
  let peak = idle;
  const watch = setInterval(() => {
    peak = Math.max(peak, renderersBytes());
  }, 100);
  try {
    const began = performance.now();
    await page.setInputFiles("#file", file);
    await page.waitForSelector("#result:not([hidden])", { timeout: 600_000 });
    const seconds = (performance.now() - began) / 1000;
    const told = await page.textContent("#summary");
    return { file, seconds, idle_bytes: idle, peak_bytes: peak, told };
  } finally {
    clearInterval(watch);
  }
}

/** Resident memory of all renderers: the page, its worker, WebAssembly, decoded audio. */
function renderersBytes() {
  let total = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf-8");
      if (!command.includes("--type=renderer")) continue;
      const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, "utf-8").split(" ");
      total += (Number(resident) - Number(shared)) * PAGE_BYTES;
    } catch {
      // The process has just ended.
    }
  }
  return total;
}
