import { describe, expect, test } from "vitest";
import { AudioError } from "../src/espressivo/errors";
import {
  floatsOf,
  type RecordingInput,
  requireChannels,
  requireRate,
  requireScaled,
  type Samples,
  soundOf,
} from "../src/espressivo/inputs";

const limits = { timeout_s: 1 };
const bytes = Uint8Array.of(82, 73, 70, 70, 1);
const samples = Float32Array.of(0, 0.5, -0.5);

async function fileOf(recording: RecordingInput) {
  const sound = await soundOf(recording, undefined, limits);
  if (!("file" in sound)) throw new Error("these are samples");
  return { name: sound.name, content: new Uint8Array(await sound.file.arrayBuffer()) };
}

async function samplesOf(recording: RecordingInput, rate?: number) {
  const sound = await soundOf(recording, rate, limits);
  if ("file" in sound) throw new Error("this is a file");
  return sound;
}

describe("a file", () => {
  test.each<[string, RecordingInput]>([
    ["a Blob", new Blob([bytes])],
    ["an ArrayBuffer", bytes.slice().buffer],
    ["a Uint8Array", bytes],
    ["a part of a Uint8Array", Uint8Array.of(9, 9, ...bytes, 9).subarray(2, 7)],
    ["a Buffer", Buffer.from(bytes)],
    ["a DataView", new DataView(Uint8Array.of(9, ...bytes).buffer, 1)],
    ["a Response", new Response(bytes)],
    ["a data: URL", new URL("data:audio/wav;base64,UklGRgE=")],
    ["the text of a URL", "data:audio/wav;base64,UklGRgE="],
  ])("can be %s", async (_, recording) => {
    expect(await fileOf(recording)).toEqual({ name: "recording", content: bytes });
  });

  test("can be a File, which has a name", async () => {
    const found = await fileOf(new File([bytes], "a.wav"));
    expect(found).toEqual({ name: "a.wav", content: bytes });
  });

  test("whose memory was transferred is refused, not empty", async () => {
    const gone = bytes.slice().buffer;
    structuredClone(gone, { transfer: [gone] });
    await expect(soundOf(gone, undefined, limits)).rejects.toThrow(TypeError);
    const lost = samples.slice();
    structuredClone(lost.buffer, { transfer: [lost.buffer] });
    await expect(soundOf(lost, undefined, limits)).rejects.toThrow(
      "the recording's memory was transferred to another thread",
    );
  });

  test("that a server does not have is an error", async () => {
    const missing = new Response("", { status: 404 });
    await expect(soundOf(missing, undefined, limits)).rejects.toThrow(
      new AudioError("recording: the server says 404"),
    );
  });
});

describe("samples", () => {
  test.each<[string, Samples, number[]]>([
    ["floats", Float32Array.of(0.5, -1), [0.5, -1]],
    ["doubles", Float64Array.of(0.5, -1), [0.5, -1]],
    ["16-bit PCM", Int16Array.of(16_384, -32_768), [0.5, -1]],
    ["32-bit PCM", Int32Array.of(2 ** 30, -(2 ** 31)), [0.5, -1]],
  ])("can be %s", async (_, recording, wanted) => {
    const { channels, rate, name } = await samplesOf(recording);
    expect(Array.from(floatsOf(channels[0]))).toEqual(wanted);
    expect([rate, name]).toEqual([16_000, "array"]);
    expect((await samplesOf([recording, recording], 44_100)).channels.length).toBe(2);
  });

  test("are copied in parts", () => {
    const part = floatsOf(samples, 1, 2);
    expect(part).toEqual(Float32Array.of(0.5));
    part[0] = 9;
    expect(samples[1]).toBe(0.5);
  });

  test("can be an AudioBuffer, which has its own rate", async () => {
    const buffer = {
      numberOfChannels: 2,
      sampleRate: 44_100,
      length: 3,
      getChannelData: (i: number) => samples.map((x) => x * (i + 1)),
    } as unknown as AudioBuffer;
    const { channels, rate } = await samplesOf(buffer, 8_000);
    expect(channels).toEqual([samples, samples.map((x) => 2 * x)]);
    expect(rate).toBe(44_100);
  });

  test("can be none at all", async () => {
    expect((await samplesOf(new Float32Array(0))).channels[0].length).toBe(0);
  });

  test("of channels that differ in length are refused", async () => {
    const uneven = [new Float32Array(3), new Float32Array(2)];
    await expect(soundOf(uneven, undefined, limits)).rejects.toThrow(
      new AudioError("array: its channels differ in length (3, 2 samples)"),
    );
    await expect(soundOf([], undefined, limits)).rejects.toThrow("array: has no channels");
    const many = Array.from({ length: 100 }, () => samples);
    expect(() => requireChannels(many)).toThrow("has 100 channels");
  });

  test.each<[unknown, string]>([
    [[0.1, 0.2], "samples cannot be a Number, whose full scale is unknown"],
    [[Int8Array.of(1)], "samples cannot be an Int8Array"],
    [Int8Array.of(1), "a recording cannot be an Int8Array"],
    [Uint16Array.of(1), "a recording cannot be a Uint16Array"],
    [BigInt64Array.of(1n), "a recording cannot be a BigInt64Array"],
    [undefined, "a recording cannot be undefined"],
    [null, "a recording cannot be null"],
    [7, "a recording cannot be a Number"],
    [{}, "a recording cannot be an Object"],
    [Promise.resolve(bytes), "a recording cannot be a Promise (await it first)"],
    ["", "a recording cannot be the text ''"],
    ["http://", "a recording cannot be the text 'http://'"],
  ])("or a file of no such type are refused: %o", async (value, message) => {
    const asked = soundOf(value as RecordingInput, undefined, limits);
    await expect(asked).rejects.toThrow(TypeError);
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.toThrow(/pass a /);
  });
});

test.each([0, -16_000, 44.1, 44_100.5, 999, 1e6, Number.NaN, Number.POSITIVE_INFINITY])(
  "a rate of %f Hz is refused",
  async (rate) => {
    expect(() => requireRate(rate)).toThrow(AudioError);
    const message = `array: sample rate is ${rate}; pass a whole number in Hz`;
    await expect(soundOf(samples, rate, limits)).rejects.toThrow(message);
  },
);

test("rates that sound is recorded with are taken", () => {
  for (const rate of [1_000, 8_000, 22_050, 48_000, 384_000]) requireRate(rate);
});

test("samples that are not scaled are refused; a few that are no numbers are not", () => {
  requireScaled([Float32Array.of(0.1, -1.5), Float32Array.of(Number.NaN, 31)]);
  expect(() => requireScaled([samples, Float32Array.of(0, -20_000)])).toThrow(
    "array: the largest sample is 20000, not within -1..1; divide by the full scale",
  );
});
