import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { mp3Extent, WHOLE } from "../src/espressivo/audio/gapless";
import { needsPython, python, ROOT, scratch } from "./python";

/** Encode an MP3, and print how many samples FFmpeg decodes of it. */
const PROGRAM = `
import sys, av, numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.recordings import encode
path, rate, channels, n = Path(sys.argv[2]), *map(int, sys.argv[3:])
signal = np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32)
encode(path, signal, rate=rate, channels=channels)
with av.open(str(path)) as file:
    print(sum(frame.samples for frame in file.decode(audio=0)))
`;

function encoded(rate: number, channels: number, n: number) {
  const file = path.join(scratch(), "x.mp3");
  const told = python("-c", PROGRAM, ROOT, file, ...[rate, channels, n].map(String));
  return { bytes: Buffer.from(readFileSync(file)), nSamples: Number(told) };
}

function extentOf(bytes: Buffer, rate: number) {
  return mp3Extent(new Blob([Uint8Array.from(bytes)]), rate);
}

describe("what of an MP3 is the recording", () => {
  test.for([
    [44_100, 1, 16_000],
    [44_100, 2, 20_001],
    [48_000, 1, 5_000],
    [32_000, 2, 16_000],
    [22_050, 1, 16_000],
    [16_000, 2, 7_777],
  ])("is what FFmpeg decodes: %i Hz, %i channels", async ([rate, channels, n], context) => {
    needsPython(context);
    const { bytes, nSamples } = encoded(rate, channels, n);
    const { start_s, end_s } = await extentOf(bytes, rate);
    expect((end_s - start_s) * rate).toBeCloseTo(nSamples, 5);
    expect(start_s * rate).toBeCloseTo(576 + 529, 5); // LAME, and any decoder
  });

  test("does not depend on the title in front", async (context) => {
    needsPython(context);
    const { bytes } = encoded(44_100, 1, 16_000);
    expect(bytes.indexOf("ID3")).toBe(0);
    const extent = await extentOf(bytes, 44_100);
    const bare = bytes.subarray(10 + bytes[9]);
    expect(await extentOf(bare, 44_100)).toEqual(extent);
    const long = Buffer.concat([Buffer.from([73, 68, 51, 4, 0, 0, 0, 0, 2, 1]), bare]);
    const filled = Buffer.concat([long.subarray(0, 10), Buffer.alloc(257), bare]);
    expect(await extentOf(filled, 44_100)).toEqual(extent);
    expect(extent).not.toBe(WHOLE);
  });

  test("is all of it where no encoder says", async (context) => {
    needsPython(context);
    const { bytes } = encoded(44_100, 1, 16_000);
    for (const mark of ["Info", "Lavf"]) {
      const other = Buffer.from(bytes);
      other.write("none", other.lastIndexOf(mark));
      expect(await extentOf(other, 44_100)).toBe(WHOLE);
    }
  });

  test.each([0, 1, 9, 5_000])("is all of it in %i bytes of nothing", async (n) => {
    expect(await extentOf(Buffer.alloc(n), 44_100)).toBe(WHOLE);
  });
});
