import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { missingEnd } from "../../src/espressivo/audio/ending";
import { needsPython, python, ROOT, scratch } from "../python";
import { big, blob, box, concatenated, element, text } from "./bytes";

/** Write recordings, cut at many places, and print what Python says of each. */
const PROGRAM = `
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from espressivo.audio.containers import missing_end
from tests.recordings import encode
folder = Path(sys.argv[2])
signal = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
found = {}
for suffix in ("wav", "ogg", "m4a", "webm", "mka", "flac", "mp3"):
    whole = encode(folder / f"whole.{suffix}", signal).read_bytes()
    for i, share in enumerate((0, 0.002, 0.01, 0.1, 0.5, 0.9, 0.99, 1)):
        cut = folder / f"{i}.{suffix}"
        cut.write_bytes(whole[: round(share * len(whole))])
        with cut.open("rb") as file:
            found[cut.name] = missing_end(file)
print(json.dumps(found))
`;

test("a missing end is told as in Python", async (context) => {
  needsPython(context);
  const folder = scratch();
  const told: Record<string, string | null> = JSON.parse(
    python("-c", PROGRAM, ROOT, folder),
  );
  const said = Object.values(told).filter((each) => each !== null);
  expect(said.length).toBeGreaterThan(15);
  for (const [name, wanted] of Object.entries(told)) {
    const bytes = Uint8Array.from(readFileSync(path.join(folder, name)));
    const found = await missingEnd(blob(bytes));
    expect(found, name).toBe(wanted && `holds ${wanted}`);
  }
});

describe("nothing is missing", () => {
  const wave = (riff: number, data: number) =>
    blob(
      text("RIFF"),
      big(riff).reverse(),
      text("WAVEdata"),
      big(data).reverse(),
      new Uint8Array(100),
    );

  test.each([
    ["a size of the whole that is wrong", 9_999, 100],
    ["a stream of SoX", 0x7ffff024, 0x7ffff000],
    ["a stream of FFmpeg", 0xffffffff, 0xffffffff],
    ["a recorder that never wrote it", 0, 0],
    ["a byte of padding", 137, 101],
  ])("with %s", async (_, riff, data) => {
    expect(await missingEnd(wave(riff, data))).toBeNull();
  });

  test("where sizes are open", async () => {
    const segment = concatenated(element(0x1a45dfa3, [1, 2]), element(0x18538067, null));
    expect(await missingEnd(blob(segment, new Uint8Array(50)))).toBeNull();
    const last = concatenated(big(0), text("mdat"), new Uint8Array(50));
    expect(await missingEnd(blob(box("ftyp", text("M4A ")), last))).toBeNull();
  });

  test.each([0, 3, 11])("in %i bytes of anything", async (n) => {
    expect(await missingEnd(blob(new Uint8Array(n)))).toBeNull();
  });
});

test("a WAV file of 64 bits is told", async () => {
  const file = blob(
    text("RF64"),
    big(0xffffffff),
    text("WAVEds64"),
    big(28).reverse(),
    big(5_000_000_100, 8).reverse(),
    big(5_000_000_000, 8).reverse(),
    new Uint8Array(12),
    text("data"),
    big(0xffffffff),
    new Uint8Array(100),
  );
  expect(await missingEnd(file)).toBe(
    `holds ${file.size} bytes of the 5000000056 that its header announces`,
  );
});
