// What of lists, histories and pages of the app needs no browser.

import { describe, expect, test, vi } from "vitest";
import { toHtml } from "../src/app/html-report";
import { type Found, type Item, Queue } from "../src/app/queue";
import { byDays, type Result, resultOf, toCsv } from "../src/app/voice-history";
import { EMOTIONS, Report } from "../src/espressivo";
import { estimateOf } from "../src/espressivo/types";

const files = (...names: string[]) => names.map((name) => new File([], name));

describe("recordings in turn", () => {
  /** A queue whose analyses end when they are told to, or when they are cancelled. */
  function begin(...names: string[]) {
    const began: { item: Item; end: (error?: Error) => void }[] = [];
    const queue = new Queue(
      (item, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          const end = (error?: Error) => (error ? reject(error) : resolve({} as Found));
          began.push({ item, end });
        }),
      () => undefined,
    );
    queue.add(files(...names));
    const states = () => queue.items.map(({ state }) => state).join(" ");
    const end = async (error?: Error) => {
      began.at(-1)?.end(error);
      await new Promise((resolve) => setTimeout(resolve));
    };
    return { queue, began, states, end };
  }

  test("one at a time; a failure does not stop the others", async () => {
    const { queue, states, end } = begin("a", "b", "c");
    expect(states()).toBe("working waiting waiting");
    await end(new Error("a: unreadable"));
    queue.add(files("d"));
    expect(states()).toBe("failed working waiting waiting");
    for (let i = 0; i < 3; i++) await end();
    expect(states()).toBe("failed done done done");
    expect(queue.busy).toBe(false);
  });

  test("one or all are cancelled, and the queue goes on with new ones", async () => {
    const { queue, began, states, end } = begin("a", "b", "c");
    queue.cancel(queue.items[1]);
    queue.cancel(queue.items[0]);
    await end();
    expect(states()).toBe("cancelled cancelled working");
    queue.cancelAll();
    queue.add(files("d"));
    await end();
    expect(states()).toBe("cancelled cancelled cancelled working");
    queue.remove(queue.items[3]);
    await end();
    expect(queue.items.map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(began.map(({ item }) => item.name)).toEqual(["a", "c", "d"]);
  });
});

function report(name: string, probabilities: number[], seconds = 4): Report {
  const segment = { start: 0, end: seconds * 16_000 };
  const names = { emotions: EMOTIONS, dimensions: ["arousal", "valence"] as const };
  const estimate = estimateOf(segment, names, probabilities, [probabilities[0], 0.5]);
  return new Report({
    recording: name,
    model: { name: "m", version: "1", sha256: "" },
    emotions: EMOTIONS,
    dimensionNames: ["arousal", "valence"],
    certainty: null,
    duration_s: seconds,
    segments: [estimate.segment],
    estimates: [estimate],
    track: null,
    channels: "mono",
    gaps: [],
    quality: null,
    warnings: [],
    adaptation: null,
    statistics: null,
    loudness: Float32Array.of(-20.4, -100),
  });
}

describe("a voice over days", () => {
  const kept = (name: string, when: Date, probabilities: number[], seconds = 4) =>
    resultOf("me", report(name, probabilities, seconds), when) as Result;
  const [calm, angry] = [
    [0, 0, 1, 0],
    [1, 0, 0, 0],
  ];

  test("results of a day are one, by the duration of their speech", () => {
    const days = byDays([
      kept("a", new Date(2026, 2, 28, 0, 5), calm, 3),
      kept("b", new Date(2026, 2, 28, 23, 55), angry, 1),
      kept("c", new Date(2026, 2, 30, 1), angry), // after a change to summer time
    ]);
    expect(days.map(({ start, n }) => [start.getDate(), n])).toEqual([
      [28, 2],
      [30, 1],
    ]);
    expect(days[0].probabilities.anger).toBe(0.25);
    expect(days.map(({ arousal }) => arousal)).toEqual([0.25, 1]);
  });

  test("years are drawn by as many groups as there is room for", () => {
    const all = Array.from({ length: 3_000 }, (_, day) =>
      kept("a", new Date(2020, 0, 1 + day, 12), calm),
    );
    const days = byDays(all);
    expect(days.length).toBeLessThanOrEqual(62);
    expect(days.reduce((sum, { n }) => sum + n, 0)).toBe(3_000);
  });

  test("CSV quotes names; nothing is kept without speech", () => {
    const when = new Date("2026-11-28T10:00:00Z");
    const text = toCsv([kept('the "note", late', when, angry)]);
    expect(text.split("\n")).toEqual([
      "date,name,duration_s,speech_s,model,emotion,uncertain,anger,happiness,neutral,sadness,arousal,valence",
      '2026-11-28T10:00:00.000Z,"the ""note"", late",4,4,m 1,anger,,1,0,0,0,1,0.5',
      "",
    ]);
    const silent = new Report({ ...report("a", calm), estimates: [], segments: [] });
    expect(resultOf("me", silent, when)).toBeNull();
  });
});

test("the page of a report holds it, whatever its name", () => {
  const name = "</script><b>$& é \ud800";
  const html = toHtml(report(name, [0.7, 0.1, 0.1, 0.1]), "2026-11-28");
  expect(html).not.toContain("</script><b>");
  const [, text] = /id="content">(.*)<\/script>/.exec(html) ?? [];
  const content = JSON.parse(text);
  expect(content.report.recording).toBe(name);
  expect(content.loudness).toEqual([-20, -100]);
  expect(content.date).toBe("2026-11-28");
});

test("a choice that the browser has no room for is no error, but a text is", async () => {
  const setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  vi.stubGlobal("localStorage", { length: 0, setItem });
  const { remember, storage } = await import("../src/app/storage");
  remember("espressivo.speaker", "me");
  expect(() => storage.setItem("espressivo.profile/me", "")).toThrow("full");
  vi.unstubAllGlobals();
});
