/**
 * One plain sentence on how the voice sounds over the course of a recording.
 *
 * The sentences are those of `src/espressivo/summary.py`, which explains how they come
 * about. All arithmetic is on integers, so that the two agree exactly.
 */

import { SAMPLE_RATE, type Segment, samplesIn } from "./types";

const UNIT = 10_000; // costs are in ten-thousandths of arousal or probability
const LEVELS = ["calm", "even", "animated"] as const;
const LOW = 4_000; // "even" is from here to there; 5,000 is the neutral arousal
const HIGH = 6_000;
const CAP = 1_000; // largest cost of a window, so that an outlier counts like any other
const CONTRAST = 1_000; // by which two phases must differ: see `isWeak`
const NEAR = 500; // cost up to which a window agrees with the others
const PHASE = 10 * SAMPLE_RATE; // longer than a window, so that one makes no story
const PART = 20; // of the speech, for long recordings
const MOST_PHASES = 3;

/** Windows of a recording in order, and what was estimated of each. */
export interface Course {
  readonly spans: readonly Segment[];
  /** Emotions in the order of the probabilities. */
  readonly emotions: readonly string[];
  readonly probabilities: readonly (readonly number[])[];
  /** Whether each window is uncertain; null: the model has no threshold. */
  readonly uncertain: readonly (boolean | null)[];
  /** Arousal of each window, 0 to 1; null: the model has none. */
  readonly arousal: readonly number[] | null;
  readonly duration_s: number;
}

/** A window: its weight in samples, its cost in each state, whether it is clear. */
interface Weighed {
  readonly n: number;
  readonly costs: readonly number[];
  readonly clear: boolean;
}

/** Return a sentence such as "Calm at first, animated from 2:10."; null: no windows. */
export function summarize(course: Course): string | null {
  const { spans, emotions, probabilities, uncertain, arousal, duration_s } = course;
  if (spans.length === 0) return null;
  const total = sum(spans.map(samplesIn));
  const unclear = sum(spans.map((span, i) => (uncertain[i] ? samplesIn(span) : 0)));
  const isUnclear = 2 * unclear > total;
  const windows = spans.map((span, i) => ({
    n: samplesIn(span),
    costs: arousal ? levelCosts(units(arousal[i])) : emotionCosts(probabilities[i]),
    clear: arousal !== null || !uncertain[i],
  }));
  let sentence: string;
  if (!arousal && isUnclear) {
    sentence = "not sure: no emotion stands out most of the time";
  } else {
    sentence = story(spans, arousal ? LEVELS : emotions, windows, duration_s);
  }
  if (arousal && isUnclear) sentence += "; the emotion is not clear";
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
}

function story(
  spans: readonly Segment[],
  names: readonly string[],
  windows: readonly Weighed[],
  duration_s: number,
): string {
  const path = clearPath(windows);
  const starts = path.flatMap((state, i) => (state === path[i - 1] ? [] : [i]));
  if (starts.length < 2 || starts.length > MOST_PHASES) {
    return shares(names, windows, starts.length === 1 ? path[0] : null);
  }
  const parts = [`${names[path[0]]} at first`];
  for (const i of starts.slice(1)) {
    const start_s = Math.floor(spans[i].start / SAMPLE_RATE);
    const again = path[i] === path[0];
    const late = again && 4 * start_s >= 3 * duration_s;
    const when = late ? "at the end" : `from ${clock(start_s)}`;
    parts.push(`${names[path[i]]} ${again ? "again " : ""}${when}`);
  }
  return parts.join(", ");
}

/** Describe a recording of one phase, or of too many (null), by shares. */
function shares(
  names: readonly string[],
  windows: readonly Weighed[],
  state: number | null,
): string {
  const clear = windows.filter((each) => each.clear);
  const each = names.map((_, state) =>
    sum(clear.map(({ n, costs }) => (least(costs) === state ? n : 0))),
  );
  const known = sum(each);
  const common = each.indexOf(Math.max(...each));
  let main = state ?? common;
  const near = sum(clear.map(({ n, costs }) => (costs[main] <= NEAR ? n : 0)));
  if (10 * near >= 9 * sum(windows.map(({ n }) => n))) return `${names[main]} throughout`;
  if (2 * each[main] < known) main = common;
  // Named if they last for a tenth of the time, and longer than a window.
  const tenths = each.flatMap((n, i) => (n > 0 && 10 * n >= known ? [i] : []));
  const often = tenths.filter((i) => each[i] >= PHASE);
  if (5 * each[main] > 3 * known) {
    const others = often.filter((i) => i !== main).sort((a, b) => each[b] - each[a]);
    const also = others.length > 0 ? `, at times ${names[others[0]]}` : "";
    return `mostly ${names[main]}${also}`;
  }
  if (tenths.length > 1) {
    const named = (often.length > 1 ? often : tenths).map((i) => names[i]);
    return `changes between ${named.slice(0, -1).join(", ")} and ${named[named.length - 1]}`;
  }
  return `on the whole ${names[main]}`;
}

/** Return the state of each window, such that neighbouring phases are distinct. */
function clearPath(windows: readonly Weighed[]): number[] {
  const capped = windows.map((each) => ({
    ...each,
    costs: each.costs.map((cost) => Math.min(cost, CAP)),
  }));
  const total = sum(windows.map(({ n }) => n));
  for (let change = CAP * Math.max(PHASE, Math.floor(total / PART)); ; change *= 2) {
    const path = cheapestPath(capped, change);
    const starts = path.flatMap((state, i) => (i && state !== path[i - 1] ? [i] : []));
    if (!starts.some((at) => isWeak(at, path, capped))) return path;
  }
}

/** Return whether the phases that meet at a window could well be one. */
function isWeak(at: number, path: readonly number[], windows: readonly Weighed[]): boolean {
  const [before, after] = [path[at - 1], path[at]];
  let [first, last] = [at, at];
  while (first > 0 && path[first - 1] === before) first--;
  while (last < path.length && path[last] === after) last++;
  const lost = (phase: readonly Weighed[], own: number, other: number) =>
    Math.floor(
      sum(phase.map(({ n, costs }) => n * (costs[other] - costs[own]))) /
        sum(phase.map(({ n }) => n)),
    );
  const [early, late] = [windows.slice(first, at), windows.slice(at, last)];
  return lost(early, before, after) + lost(late, after, before) < CONTRAST;
}

/** Return the state of each window: cheapest in sum of windows and changes (Viterbi). */
function cheapestPath(windows: readonly Weighed[], change: number): number[] {
  let best = windows[0].costs.map(() => 0);
  const came: number[][] = [];
  for (const { n, costs } of windows) {
    const other = least(best);
    const changed = best[other] + change;
    // A change must be worth it: equal costs stay where they are.
    came.push(best.map((cost, i) => (cost <= changed ? i : other)));
    best = best.map((cost, i) => Math.min(cost, changed) + n * costs[i]);
  }
  const path: number[] = [];
  let state = least(best);
  for (const before of came.reverse()) {
    path.push(state);
    state = before[state];
  }
  return path.reverse();
}

/** Return the distance of an arousal from the range of each level. */
function levelCosts(arousal: number): number[] {
  const even = Math.max(0, LOW - arousal, arousal - HIGH);
  return [Math.max(0, arousal - LOW + 1), even, Math.max(0, HIGH + 1 - arousal)];
}

/** Return how far the probability of each emotion is below the highest one. */
function emotionCosts(probabilities: readonly number[]): number[] {
  const each = probabilities.map(units);
  const top = Math.max(...each);
  return each.map((value) => top - value);
}

function units(value: number): number {
  return Math.floor(value * UNIT + 0.5);
}

function least(values: readonly number[]): number {
  return values.indexOf(Math.min(...values));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function clock(seconds: number): string {
  const [h, m, s] = [
    Math.floor(seconds / 3600),
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  const two = (n: number) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
