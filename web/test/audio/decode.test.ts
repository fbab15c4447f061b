/**
 * Decoding with decoders that fail in ways in which real ones do, but not on demand:
 * that give nothing, take packets without an answer, or break at a packet.
 */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openRecording } from "../../src/espressivo/audio/decode";
import { AudioError, NotDecodable } from "../../src/espressivo/errors";
import { blob, opus } from "./bytes";

type Answer = "samples" | "nothing" | "failure";

/** How the decoder answers the packet of this number, of all that it was given. */
let answer: (packet: number) => Answer;
/** Number of samples of pre-skip that decoders were told to leave out. */
let told: number[];

class FakeData {
  readonly format = "f32-planar";
  readonly numberOfFrames = 480;
  readonly numberOfChannels = 1;
  readonly sampleRate = 48_000;
  readonly timestamp = 0;
  readonly duration = 10_000;
  copyTo(to: Float32Array): void {
    to.fill(0.5);
  }
  allocationSize(): number {
    return 4 * this.numberOfFrames;
  }
  close(): void {}
  clone(): FakeData {
    return this;
  }
}

class FakeDecoder {
  static nPackets = 0;
  static isConfigSupported = async (config: object) => ({ supported: true, config });
  state = "unconfigured";
  decodeQueueSize = 0;
  ondequeue = () => {};
  private isStuck = false;

  constructor(
    private readonly calls: {
      output: (data: unknown) => void;
      error: (error: Error) => void;
    },
  ) {}

  configure({ description }: { description: Uint8Array }): void {
    this.state = "configured";
    told.push(description[10] + 256 * description[11]);
  }

  decode(): void {
    if (this.state === "closed") throw new Error("the decoder is closed");
    const found = answer(FakeDecoder.nPackets++);
    this.isStuck ||= found === "nothing";
    setTimeout(() => {
      if (this.state === "closed" || this.isStuck) return;
      if (found === "samples") this.calls.output(new FakeData());
      else {
        this.state = "closed";
        this.calls.error(new Error("Decoding error."));
      }
    });
  }

  async flush(): Promise<void> {
    if (this.isStuck) return new Promise(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (this.state === "closed") throw new Error("Aborted due to close()");
  }

  close(): void {
    this.state = "closed";
  }
}

beforeEach(() => {
  answer = () => "samples";
  told = [];
  FakeDecoder.nPackets = 0;
  vi.stubGlobal("navigator", { userAgentData: {} }); // as in Chromium
  vi.stubGlobal("AudioDecoder", FakeDecoder);
  vi.stubGlobal("AudioData", FakeData);
  vi.stubGlobal("EncodedAudioChunk", class {});
});
afterEach(() => vi.unstubAllGlobals());

const pages = (n: number, at: (i: number) => number = (i) => i + 1) =>
  Array.from({ length: n }, (_, i) => at(i));

async function heard(file: Blob, signal?: AbortSignal) {
  const recording = await openRecording(file, {
    name: "x.opus",
    track: null,
    limits: { timeout_s: 0.2, signal },
    findSpeech: async () => new Float32Array(0),
  });
  let n = 0;
  for await (const block of recording.blocks) n += block.length;
  return { seconds: n / 16_000, ...recording };
}

describe("a decoder", () => {
  test("that answers is heard to the end", async () => {
    const { seconds, warnings, gaps } = await heard(blob(opus(0, ...pages(300))));
    expect(seconds).toBeCloseTo(3, 3);
    expect(warnings).toEqual([]);
    expect(gaps).toEqual([]);
  });

  test("that gives nothing ends with an error", async () => {
    answer = () => "nothing";
    const wanted = new AudioError(
      "x.opus: the browser's decoder has given nothing for 0.2 s; convert the recording " +
        "to wav or flac",
    );
    await expect(heard(blob(opus(0, ...pages(3))))).rejects.toThrow(wanted);
    await expect(heard(blob(opus(0, ...pages(300))))).rejects.toThrow(wanted);
  });

  test("that stops in the middle ends with an error, not with half a report", async () => {
    answer = (packet) => (packet < 150 ? "samples" : "nothing");
    await expect(heard(blob(opus(0, ...pages(300))))).rejects.toThrow(AudioError);
  });

  test("that gives nothing can be cancelled", async () => {
    answer = () => "nothing";
    const reason = new DOMException("enough", "AbortError");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 30);
    const cancelled = heard(blob(opus(0, ...pages(300))), controller.signal);
    await expect(cancelled).rejects.toBe(reason);
  });

  test("that breaks at a packet goes on with the next", async () => {
    answer = (packet) => (packet === 100 || packet === 350 ? "failure" : "samples");
    const { seconds, warnings } = await heard(blob(opus(0, ...pages(300))));
    expect(seconds).toBeCloseTo(2.98, 2);
    expect(warnings).toEqual(["x.opus: 2 damaged packets skipped"]);
  });

  test("that breaks at every packet is left to decodeAudioData", async () => {
    answer = () => "failure";
    await expect(heard(blob(opus(0, ...pages(300))))).rejects.toThrow(NotDecodable);
  });

  test("is not told of the pre-skip, which is left out here", async () => {
    const { seconds } = await heard(blob(opus(48_000, ...pages(300))));
    expect(seconds).toBeCloseTo(2, 3);
    expect(new Set(told)).toEqual(new Set([0]));
  });
});

describe("time stamps", () => {
  test("with holes are kept", async () => {
    const hole = (i: number) => i + 1 + (i >= 100 ? 50 : 0) + (i >= 200 ? 1000 : 0);
    const { seconds, gaps } = await heard(blob(opus(0, ...pages(300, hole))));
    expect(seconds).toBeCloseTo(13.5, 1);
    expect(gaps.map(({ start, end }) => Math.round((end - start) / 160))).toEqual([
      50, 1000,
    ]);
  });

  test("that begin anywhere begin the report", async () => {
    const { seconds, gaps } = await heard(blob(opus(0, ...pages(100, (i) => 9000 + i))));
    expect(seconds).toBeCloseTo(1, 3);
    expect(gaps).toEqual([]);
  });

  test("of files put together follow one another", async () => {
    const both = blob(opus(0, ...pages(100)), opus(0, ...pages(50)));
    expect((await heard(both)).seconds).toBeCloseTo(1.5, 2);
  });
});

test("an empty file is refused, and what is no recording is left to others", async () => {
  await expect(heard(blob())).rejects.toThrow("x.opus: the file is empty");
  await expect(heard(blob(new Uint8Array(5000)))).rejects.toThrow(NotDecodable);
});
