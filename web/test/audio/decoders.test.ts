/**
 * The decoders for where a browser has none: sample by sample what FFmpeg decodes. Node has
 * no WebCodecs, so whole recordings go through them here.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { joined } from "../../src/espressivo/audio/channels";
import { openRecording } from "../../src/espressivo/audio/decode";
import { needsPython, python, ROOT } from "../python";

/** Encode speech in each format, and write what Python decodes of it beside. */
const PROGRAM = `
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from espressivo.audio.recording import load_audio
from tests.odd_recordings import Track, write
from tests.recordings import encode
folder = Path(sys.argv[2])
speech = load_audio(Path(sys.argv[1]) / "examples/voice-note.m4a")[240_000:272_000]
for name, options in {
    "mono.opus": {}, "mono.mp3": {}, "low.mp3": {"rate": 22_050}, "stereo.flac": {"channels": 2},
    "short.flac": {"rate": 16_000},
    "six.m4a": {"rate": 48_000, "channels": 6}, "mono.m4a": {"rate": 16_000},
}.items():
    encode(folder / name, speech, **options)
apart = np.stack([speech, 0.3 * speech[::-1]])
for name, codec in {"apart.m4a": "aac", "apart.ogg": "vorbis", "apart.mkv": "mp3"}.items():
    write(folder / name, Track(apart, codec))
for path in list(folder.iterdir()):
    load_audio(path).astype(np.float32).tofile(f"{path}.f32")
`;
const NAMES = [
  ...[
    "mono.opus",
    "mono.mp3",
    "low.mp3",
    "stereo.flac",
    "short.flac",
    "six.m4a",
    "mono.m4a",
  ],
  ...["apart.m4a", "apart.ogg", "apart.mkv"],
];
const folder = mkdtempSync(path.join(tmpdir(), "espressivo-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("decode what FFmpeg decodes", async (context) => {
  needsPython(context);
  python("-c", PROGRAM, ROOT, folder);
  for (const name of NAMES) {
    const bytes = readFileSync(path.join(folder, `${name}.f32`));
    const wanted = new Float32Array(Uint8Array.from(bytes).buffer);
    const found = await signalOf(path.join(folder, name));
    expect(found.length, name).toBe(wanted.length);
    // libopus rounds to 16 bits in FFmpeg; all others differ by rounding of floats.
    const least_db = name.endsWith("opus") ? 80 : 110;
    expect(ratio_db(found, wanted), name).toBeGreaterThan(least_db);
  }
});

async function signalOf(file: string): Promise<Float32Array> {
  const { blocks, warnings } = await openRecording(new Blob([readFileSync(file)]), {
    name: path.basename(file),
    track: null,
    limits: { timeout_s: 20 },
    findSpeech: async () => new Float32Array(0),
  });
  const signals: Float32Array[] = [];
  for await (const block of blocks) signals.push(block);
  expect(warnings).toEqual([]);
  return joined(signals);
}

/** Signal to difference, in dB. */
function ratio_db(found: Float32Array, wanted: Float32Array): number {
  let [signal, difference] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    signal += wanted[i] ** 2;
    difference += (found[i] - wanted[i]) ** 2;
  }
  return 10 * Math.log10(signal / difference);
}
