import { describe, expect, test } from "vitest";
import { type Segment, samplesIn } from "../src/espressivo/types";
import { planWindows, type Window, Windower } from "../src/espressivo/windows";
import { golden, type Span, segmentOf } from "./goldens";
import { cut, cutEvery, noise, Random } from "./random";

const WINDOW = 80;
const MINIMUM = 5;

describe("a plan of windows", () => {
  const lengths = [...Array(4 * WINDOW + 1).keys()].slice(1);

  test.each([0, 1, 77])(
    "tiles a segment that begins at %i, whatever its length",
    (start) => {
      for (const length of lengths) {
        const windows = planWindows({ start, end: start + length }, WINDOW);
        const ends = [start, ...windows.map(({ end }) => end)];
        expect(windows.map((each) => each.start)).toEqual(ends.slice(0, -1));
        expect(ends.at(-1)).toBe(start + length);
        expect(Math.min(...windows.map(samplesIn))).toBeGreaterThan(0);
        expect(Math.max(...windows.map(samplesIn))).toBeLessThanOrEqual(WINDOW);
      }
    },
  );

  test("has no more windows than it must, and no useless tail", () => {
    for (const length of lengths) {
      const windows = planWindows({ start: 0, end: length }, WINDOW).map(samplesIn);
      expect(windows.length).toBe(Math.ceil(length / WINDOW));
      if (length <= WINDOW) continue;
      expect(Math.min(...windows)).toBeGreaterThanOrEqual(WINDOW / 2);
      expect(windows.at(-2)).toBeOneOf([windows.at(-1), (windows.at(-1) as number) + 1]);
    }
  });

  test("is Python's", () => {
    type Plan = { segment: Span; window: number; windows: Span[] };
    const plans = golden<Plan[]>("windows");
    expect(plans.length).toBeGreaterThan(30);
    for (const { segment, window, windows } of plans) {
      expect(planWindows(segmentOf(segment), window)).toEqual(windows.map(segmentOf));
    }
  });
});

/** Remove the offset of a signal, as a window does. */
function centred(signal: Float32Array): Float32Array {
  const mean = signal.reduce((sum, each) => sum + each, 0) / signal.length;
  if (Math.abs(mean) < 0.01 * Math.max(...signal.map(Math.abs))) return signal;
  return signal.map((each) => each - Math.fround(mean));
}

/** Push pieces as they come, and cut what is certain after each. */
function streamed(
  segments: readonly Segment[],
  pieces: readonly Float32Array[],
  minimum: number,
): { windows: Window[]; mostHeld: number } {
  const windower = new Windower(WINDOW, minimum);
  const left = [...segments];
  const windows: Window[] = [];
  let mostHeld = 0;
  for (const piece of pieces) {
    windower.push(piece);
    while (left.length && left[0].end <= windower.nSamples) {
      windows.push(...windower.cutClosed(left.shift() as Segment));
    }
    const from = Math.min(left[0]?.start ?? Number.POSITIVE_INFINITY, windower.nSamples);
    windows.push(...windower.cutOpen({ start: from, end: windower.nSamples }));
    windower.forget(from);
    mostHeld = Math.max(mostHeld, windower.nHeld);
  }
  return { windows, mostHeld };
}

function drawn(random: Random): { segments: Segment[]; nSamples: number } {
  let at = 0;
  const segments = random.integers(random.integer(1, 5), 1, 300).map((length) => {
    const start = at + random.integer(0, 300);
    at = start + length;
    return { start, end: at };
  });
  return { segments, nSamples: at + random.integer(0, 40) };
}

describe("a stream of windows", () => {
  test.each([...Array(20).keys()])("is the plan, however it is cut (%i)", (seed) => {
    const random = new Random(seed);
    const { segments, nSamples } = drawn(random);
    const signal = noise(nSamples, seed);
    const places = random.integers(random.integer(0, 30), 0, nSamples);
    const block = random.integer(1, 120);

    for (const pieces of [cut(signal, places), cutEvery(signal, block), [signal]]) {
      const { windows, mostHeld } = streamed(segments, pieces, 1);
      const plan = segments.flatMap((segment) => planWindows(segment, WINDOW));
      expect(windows.map(({ segment }) => segment)).toEqual(plan);
      for (const { segment, signal: heard } of windows) {
        expect(heard).toEqual(centred(signal.slice(segment.start, segment.end)));
      }
      expect(mostHeld).toBeLessThanOrEqual(2 * WINDOW + 1);
    }
  });

  test("keeps little of someone who never pauses", () => {
    const windower = new Windower(WINDOW, MINIMUM);
    let nWindows = 0;
    for (let n = 100; n <= 10_000; n += 100) {
      windower.push(new Float32Array(100));
      nWindows += windower.cutOpen({ start: 0, end: n }).length;
      windower.forget(0);
      expect(windower.nHeld).toBeLessThanOrEqual(2 * WINDOW + MINIMUM);
      expect(windower.nSamples).toBe(n);
    }
    expect(nWindows).toBe(Math.ceil((10_000 - 2 * WINDOW) / WINDOW));
  });

  test("keeps little of a long silence", () => {
    const windower = new Windower(WINDOW, MINIMUM);
    for (let n = 100; n <= 1_000; n += 100) {
      windower.push(new Float32Array(100));
      windower.forget(n);
      expect(windower.nHeld).toBe(MINIMUM);
    }
  });
});

describe("speech shorter than the minimum", () => {
  const signal = noise(100, 1);
  const cases: [number, Segment, Segment][] = [
    [100, { start: 50, end: 53 }, { start: 49, end: 54 }],
    [100, { start: 50, end: 54 }, { start: 50, end: 55 }],
    [100, { start: 0, end: 2 }, { start: 0, end: 5 }],
    [100, { start: 98, end: 100 }, { start: 95, end: 100 }],
    [5, { start: 1, end: 3 }, { start: 0, end: 5 }],
  ];

  test.each(cases)("of %i samples, %o is widened to %o", (n, segment, widened) => {
    const windower = new Windower(WINDOW, MINIMUM);
    windower.push(signal.slice(0, n));
    const heard = centred(signal.slice(widened.start, widened.end));
    expect(windower.cutClosed(segment)).toEqual([{ segment: widened, signal: heard }]);
  });

  test("is still widened where all before it was forgotten", () => {
    for (let start = 40; start < 60; start++) {
      const windower = new Windower(WINDOW, MINIMUM);
      windower.push(signal.slice(0, start + 1));
      windower.forget(start);
      windower.push(signal.slice(start + 1, 64));
      const [window] = windower.cutClosed({ start, end: start + 2 });
      expect(samplesIn(window.segment)).toBe(MINIMUM);
      const found = window.segment;
      expect(window.signal).toEqual(centred(signal.slice(found.start, found.end)));
    }
  });

  test("is padded only when the whole recording is", () => {
    const windower = new Windower(WINDOW, MINIMUM);
    windower.push(Float32Array.of(1, 5, 3));
    const segment = { start: 0, end: 3 };
    const padded = Float32Array.of(-2, 2, 0, 0, 0);
    expect(windower.cutClosed(segment)).toEqual([{ segment, signal: padded }]);
  });

  test.each([0, -1, 81, Number.NaN])("a minimum of %f is refused", (minimum) => {
    expect(() => new Windower(WINDOW, minimum)).toThrow(
      `minimum is ${minimum}, not in 1..80 (the window)`,
    );
  });
});

describe("what is being said now", () => {
  const signal = noise(1_000, 2);
  const windower = () => {
    const filled = new Windower(WINDOW, MINIMUM);
    filled.push(signal.slice(0, 500));
    return filled;
  };

  test("is at most a window, the newest", () => {
    const window = windower().peek({ start: 100, end: 500 }, 1);
    expect(window).toEqual({
      segment: { start: 420, end: 500 },
      signal: centred(signal.slice(420, 500)),
    });
  });

  test("begins neither before its segment nor before what is certain", () => {
    const filled = windower();
    expect(filled.peek({ start: 470, end: 490 }, 1)?.segment.start).toBe(470);
    const certain = filled.cutOpen({ start: 300, end: 470 });
    expect(certain.map(({ segment }) => segment)).toEqual([{ start: 300, end: 380 }]);
    expect(filled.peek({ start: 300, end: 440 }, 1)?.segment.start).toBe(380);
  });

  test("is nothing while too little was said", () => {
    const now = { start: 480, end: 490 };
    expect(windower().peek(now, 11)).toBeNull();
    expect(windower().peek(now, 10)?.segment).toEqual(now);
    expect(windower().peek({ start: 480, end: 484 }, 1)).toBeNull(); // the minimum
  });

  test("changes no window to come", () => {
    const [peeked, plain] = [windower(), windower()];
    const open = { start: 200, end: 500 };
    peeked.peek(open, 1);
    expect(peeked.cutOpen(open)).toEqual(plain.cutOpen(open));
    peeked.peek(open, 1);
    expect(peeked.cutClosed(open)).toEqual(plain.cutClosed(open));
  });
});
