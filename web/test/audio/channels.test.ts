import { beforeAll, describe, expect, test } from "vitest";
import { ChannelMixer, channelName } from "../../src/espressivo/audio/channels";
import { crossCorrelation } from "../../src/espressivo/audio/correlation";
import { SpeechDetector } from "../../src/espressivo/speech";
import { golden, note } from "../goldens";
import { openVad } from "../graphs";
import { joined, noise, Random } from "../random";

type Source = "note" | "noise" | "silence";
interface Case {
  readonly name: string;
  readonly rate: number;
  /** Parts of each channel: source, gain, delay. */
  readonly recipe: readonly (readonly [Source, number, number][])[];
  readonly used: Record<string, number>;
  readonly reasons: Record<string, number>;
  readonly power: number;
  readonly kept: readonly number[];
}
const STRIDE = 20_011; // as in golden_channels.py

const cases = golden<Case[]>("channels");
const signal = note().slice(0, 40_000);
const sources = {
  note: signal,
  noise: noise(signal.length, 1),
  silence: new Float32Array(signal.length),
};
let findSpeech: (signal: Float32Array) => Promise<Float32Array>;

beforeAll(async () => {
  const vad = await openVad();
  findSpeech = (each) => new SpeechDetector(vad).push(each);
});

function partOf([source, gain, delay]: [Source, number, number]): Float32Array {
  const whole = sources[source];
  const n = whole.length;
  return Float32Array.from(whole, (_, i) => whole[(i - delay + n) % n] * gain);
}

function channelsOf({ recipe }: Case): Float32Array[] {
  return recipe.map((parts) => joined(parts.map(partOf)));
}

async function mixed(
  channels: readonly Float32Array[],
  rate: number,
  sizes: () => number,
): Promise<{ mono: Float32Array; mixer: ChannelMixer }> {
  const mixer = new ChannelMixer(channels.length, rate, findSpeech);
  const done: Float32Array[] = [];
  for (let at = 0; at < channels[0].length; ) {
    const to = at + sizes();
    done.push(await mixer.push(channels.map((each) => each.subarray(at, to))));
    at = to;
  }
  done.push(await mixer.finish());
  return { mono: joined(done), mixer };
}

describe("channels become one as in Python", () => {
  test("and the cases are of every kind", () => {
    const reasons = new Set(cases.flatMap((each) => Object.keys(each.reasons)));
    expect(reasons).toEqual(new Set(["cancel", "speech"]));
    const used = new Set(cases.flatMap((each) => Object.keys(each.used)));
    expect(used).toEqual(new Set(["mixed", "left", "right"]));
  });

  test.each(cases)("$name", async (each) => {
    const { mono, mixer } = await mixed(channelsOf(each), each.rate, () => 1000);
    expect(Object.fromEntries(mixer.used)).toEqual(each.used);
    expect(Object.fromEntries(mixer.reasons)).toEqual(each.reasons);
    expect(mono.length).toBe(3 * signal.length);
    const kept = mono.filter((_, i) => i % STRIDE === 0);
    const apart = kept.map((x, i) => Math.abs(x - each.kept[i]));
    expect(Math.max(...apart)).toBeLessThan(1e-6);
    const power = mono.reduce((sum, x) => sum + x * x, 0);
    expect(power / each.power).toBeCloseTo(1, 6);
  });

  test("however they are cut", async () => {
    const [one] = cases.filter(({ name }) => name === "inverted for a while");
    const whole = await mixed(channelsOf(one), one.rate, () => 1e9);
    const random = new Random(5);
    const cut = await mixed(channelsOf(one), one.rate, () => random.integer(1, 40_000));
    expect(cut.mono).toEqual(whole.mono);
  });
});

test("one channel stays as it is", async () => {
  const { mono, mixer } = await mixed([signal], 44_100, () => 3000);
  expect(mono).toEqual(signal);
  expect([...mixer.used]).toEqual([["mono", signal.length]]);
});

test("channels have names", () => {
  expect([channelName(0, 1), channelName(0, 2), channelName(1, 2)]).toEqual([
    "mono",
    "left",
    "right",
  ]);
  expect(channelName(2, 6)).toBe("channel 3");
});

test.each([
  [1, 0],
  [7, 3],
  [100, 40],
  [1000, 480],
])("a correlation of %i samples is that of its definition, to lag %i", (n, most) => {
  const [one, other] = [noise(n, 1), noise(n, 2)];
  const found = crossCorrelation(one, other, most);
  expect(found.length).toBe(2 * most + 1);
  for (let lag = -most; lag <= most; lag++) {
    let sum = 0;
    for (let t = 0; t < n; t++) sum += (one[t + lag] ?? 0) * other[t];
    expect(found[lag + most]).toBeCloseTo(sum, 9);
  }
});
