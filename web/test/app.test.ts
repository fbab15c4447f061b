// What of the app needs no browser.

import { describe, expect, test } from "vitest";
import { stem } from "../src/app/download";
import { WavRecording } from "../src/app/wav";
import {
  adapted,
  clock,
  headline,
  inWords,
  length,
  likeliest,
  megabytes,
  percent,
} from "../src/app/words";
import type { Adaptation, Report } from "../src/espressivo";
import { note } from "./goldens";
import { cut, noise, Random } from "./random";

describe("what was recorded, as a file", () => {
  async function written(pieces: readonly Float32Array[]): Promise<DataView> {
    const wav = new WavRecording();
    for (const piece of pieces) wav.push(piece);
    expect(wav.nSamples).toBe(pieces.reduce((n, piece) => n + piece.length, 0));
    expect(wav.toBlob().type).toBe("audio/wav");
    return new DataView(await wav.toBlob().arrayBuffer());
  }

  const text = (view: DataView, at: number) =>
    String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
  const samples = (view: DataView) =>
    Array.from({ length: (view.byteLength - 44) / 2 }, (_, i) =>
      view.getInt16(44 + 2 * i, true),
    );

  test("is 16 bit mono PCM at 16 kHz, and says so", async () => {
    const view = await written([note()]);
    const n = note().length;
    const words = [0, 8, 12, 36].map((at) => text(view, at));
    expect(words).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
    const longs = [4, 16, 24, 28, 40].map((at) => view.getUint32(at, true));
    expect(longs).toEqual([36 + 2 * n, 16, 16_000, 32_000, 2 * n]);
    const shorts = [20, 22, 32, 34].map((at) => view.getUint16(at, true));
    expect(shorts).toEqual([1, 1, 2, 16]);
    expect(view.byteLength).toBe(44 + 2 * n);
  });

  test("holds every sample, to half a step", async () => {
    const found = samples(await written([note()]));
    note().forEach((x, i) => {
      expect(Math.abs(found[i] - 32_767 * x)).toBeLessThanOrEqual(0.5);
    });
    const loud = samples(await written([Float32Array.of(-2, -1, 0, 1, 2)]));
    expect(loud).toEqual([-32_767, -32_767, 0, 32_767, 32_767]);
  });

  test("is the same however sound came in, also when it is long", async () => {
    const signal = noise(16_000 * 70, 1);
    const places = new Random(1).integers(20, 0, signal.length);
    expect(samples(await written(cut(signal, places)))).toEqual(
      samples(await written([signal])),
    );
  });

  test("of nothing is a header", async () => {
    const view = await written([]);
    expect([view.byteLength, view.getUint32(40, true)]).toEqual([44, 0]);
  });
});

describe("words", () => {
  test.each([
    [0, "0:00"],
    [59.99, "0:59"],
    [60, "1:00"],
    [3_599, "59:59"],
    [3_600, "1:00:00"],
    [36_061, "10:01:01"],
  ])("%f s is %s", (seconds, shown) => {
    expect(clock(seconds)).toBe(shown);
  });

  test("lengths, shares and sizes", () => {
    expect([length(0.4), length(24.5), length(119)]).toEqual(["0 s", "25 s", "119 s"]);
    expect([length(120), length(4_000)]).toEqual(["2:00 min", "1:06:40 h"]);
    expect([percent(0), percent(0.666), percent(1)]).toEqual(["0 %", "67 %", "100 %"]);
    expect(megabytes(5_174_381)).toBe("5.2 MB");
  });

  test.each([
    [1, "Sounds like anger"],
    [0.75, "Sounds like anger"],
    [0.7499, "Mostly anger"],
    [0.5, "Mostly anger"],
    [0.4999, "Undecided; anger comes first"],
  ])("a probability of %f is headed: %s", (probability, shown) => {
    expect(headline("anger", probability, null)).toBe(shown);
  });

  test("what reaches the model's threshold is not called undecided", () => {
    expect(headline("anger", 0.4, false)).toBe("Mostly anger");
    expect(headline("anger", 0.8, false)).toBe("Sounds like anger");
  });

  test("an uncertain estimate is between its two likeliest emotions", () => {
    const row = { anger: 0.1, happiness: 0.38, neutral: 0.41, sadness: 0.11 };
    const even = { anger: 0.25, happiness: 0.25, neutral: 0.25, sadness: 0.25 };
    expect(likeliest(row)).toEqual(["neutral", "happiness"]);
    expect(likeliest(even)).toEqual(["anger", "happiness"]);
    expect(inWords(row, true)).toBe("not sure, neutral 41 % or happiness 38 %");
    for (const sure of [false, null]) {
      expect(inWords(row, sure)).toBe("neutral, 41 %");
    }
  });

  test("what a result was adapted to is said in one line", () => {
    const report = { emotion: "anger", emotionWithout: "anger", change: 0.12 } as Report;
    const use = {
      speaker: "Zoë",
      setting: null,
      recording: false,
      speech_s: 45,
      weight: 0.5,
      offset: 1.26,
      deviation: 0.41,
      priorDeviation: 1.5,
    } as Adaptation;
    const rest = "12 % of the probability moved. The voice is 73 % known.";
    expect(adapted(report, use)).toBe(`Adapted to Zoë, by 45 s of speech: ${rest}`);
    const all = { ...use, setting: "hall", recording: true };
    expect(adapted(report, all)).toBe(
      `Adapted to Zoë, the setting hall and the recording itself, by 45 s of speech: ${rest}`,
    );
    const other = { ...report, emotionWithout: "neutral" } as Report;
    expect(adapted(other, use)).toContain("moved (before: neutral). The voice");
    expect(adapted(report, { ...use, weight: 0 })).toBe(
      "Not adapted: no speech of Zoë is known yet.",
    );
  });

  test.each([
    ["note.wav", "note"],
    ["a.b.wav", "a.b"],
    ["x/y\\z.wav", "x-y-z"],
    ["note", "note"],
    [".wav", "recording"],
    ["", "recording"],
  ])("%o is saved as %o", (name, saved) => {
    expect(stem(name)).toBe(saved);
  });
});
