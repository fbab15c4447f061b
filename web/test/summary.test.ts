import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { type Course, summarize } from "../src/espressivo/summary";
import { EMOTIONS, SAMPLE_RATE } from "../src/espressivo/types";
import { needsPython, python, ROOT, scratch } from "./python";
import { Random } from "./random";

/** Number of windows, seconds of each, arousal or probabilities, uncertain?; or silence. */
type Run = [number, number, (number | number[])?, boolean?];
interface Case {
  readonly name: string;
  readonly runs: readonly Run[];
  readonly from_s?: number;
  readonly summary: string | null;
}

const file = path.join(ROOT, "tests/summaries.json");
const { cases } = JSON.parse(readFileSync(file, "utf-8")) as { cases: Case[] };

function courseOf(runs: readonly Run[]): Course {
  const spans = [];
  const values = [];
  const uncertain = [];
  let at = 0;
  for (const [n, seconds, value, unclear] of runs) {
    for (let i = 0; i < n; i++) {
      if (value !== undefined) {
        spans.push({ start: at * SAMPLE_RATE, end: (at + seconds) * SAMPLE_RATE });
        values.push(value);
        uncertain.push(unclear ?? false);
      }
      at += seconds;
    }
  }
  const probabilities = values.map((each) => (Array.isArray(each) ? each : [1, 0, 0, 0]));
  const arousal = typeof values[0] === "number" ? (values as number[]) : null;
  return { spans, emotions: EMOTIONS, probabilities, uncertain, arousal, duration_s: at };
}

describe("summaries", () => {
  // Streams whose older windows are gone are not of the browser.
  test.each(cases.filter((each) => !each.from_s))("$name", ({ runs, summary }) => {
    expect(summarize(courseOf(runs))).toBe(summary);
  });

  test("are Python's for any course", (context) => {
    needsPython(context);
    const random = new Random(19);
    const courses = Array.from({ length: 300 }, (_, i) => randomCourse(random, i % 2 > 0));
    const given = path.join(scratch(), "courses.json");
    writeFileSync(given, JSON.stringify(courses));
    const code = `
import json, sys
from espressivo.summary import summarize
from espressivo.types import Segment
for each in json.load(open(sys.argv[1])):
    spans = [Segment(s["start"], s["end"]) for s in each.pop("spans")]
    print(summarize(spans, each.pop("emotions"), each.pop("probabilities"), each.pop("uncertain"), **each))
`;
    const expected = python("-c", code, given).trim().split("\n");

    expect(courses.map(summarize)).toEqual(expected);
    expect(new Set(expected.map((each) => each.replace(/\d/g, ""))).size).toBeGreaterThan(
      20,
    );
  });
});

/** Draw a course of some phases, with noise. */
function randomCourse(random: Random, hasArousal: boolean): Course {
  const course = { spans: [], probabilities: [], uncertain: [], arousal: [] } as {
    [key: string]: unknown[];
  };
  const noise = random.pick([0.1, 0.5, 1]);
  const mayDoubt = random.next() < 0.5;
  let at = 0;
  for (let phase = random.integer(1, 4); phase > 0; phase--) {
    const [level, likely] = [random.next(), random.integer(0, 3)];
    for (let n = random.integer(1, 40); n > 0; n--) {
      const start = at + random.integer(0, SAMPLE_RATE);
      at = start + random.integer(SAMPLE_RATE / 2, 8 * SAMPLE_RATE);
      const odds = EMOTIONS.map((_, i) => (i === likely ? 1 : 0) + noise * random.next());
      const total = odds.reduce((a, b) => a + b, 0);
      course.spans.push({ start, end: at });
      course.probabilities.push(odds.map((each) => each / total));
      course.uncertain.push(mayDoubt && random.next() < 0.4);
      const moved = level + noise * (random.next() - 0.5);
      course.arousal.push(Math.min(1, Math.max(0, moved)));
    }
  }
  const duration_s = (at + random.integer(0, SAMPLE_RATE)) / SAMPLE_RATE;
  const arousal = hasArousal ? course.arousal : null;
  return { ...course, emotions: EMOTIONS, arousal, duration_s } as unknown as Course;
}
