/** Chart of a voice over days: a dot for arousal, and bars of the four emotions. */

import { make } from "./elements";
import type { Days } from "./voice-history";
import { percent } from "./words";

const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT] = [70, 8];
const DOTS = { top: 12, height: 90 };
const BARS = { top: 122, height: 70 };
const BOTTOM = 202;
const WIDEST = 28;
const DAY_MS = 86_400_000;

/** Draw days from left to right; nothing where there are none. */
export function drawDays(place: HTMLElement, days: readonly Days[]): void {
  if (days.length === 0) {
    place.replaceChildren();
    return;
  }
  const width = Math.max(260, place.clientWidth);
  const dotted = days.some(({ arousal }) => arousal !== null);
  const shift = dotted ? 0 : DOTS.top - BARS.top;
  const chart = draw("svg", {
    viewBox: `0 0 ${width} ${BOTTOM + 14 + shift}`,
    role: "img",
    "aria-label": inWords(days),
  });
  const x = scaleOf(days, width);
  const size = Math.max(2, Math.min(WIDEST, 0.7 * x.step));
  if (dotted) chart.append(...dots(days, x.at, width));
  for (const each of days) {
    chart.append(...stack(each, x.at(each) - size / 2, BARS.top + shift, size));
  }
  chart.append(...dates(days, x.at, BOTTOM + shift + 8, width));
  const entries = Object.keys(days[0].probabilities).map((emotion) =>
    make("span", {}, make("i", { class: `of-${emotion}` }), emotion),
  );
  place.replaceChildren(chart, make("p", { class: "legend" }, ...entries));
}

/** Return where a day stands, and the width of the narrowest step. */
function scaleOf(
  days: readonly Days[],
  width: number,
): { at: (day: Days) => number; step: number } {
  const times = days.map(({ start }) => start.getTime());
  const [first, last] = [times[0], times[times.length - 1]];
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  const gap = Math.max(DAY_MS, Math.min(...gaps, 14 * DAY_MS));
  // Half a step at either end; a few days do not fill the chart.
  const span = Math.max(last - first, 6 * gap) + gap;
  const unit = (width - LEFT - RIGHT) / span;
  return {
    at: ({ start }) => LEFT + unit * (start.getTime() - first + gap / 2),
    step: unit * gap,
  };
}

function dots(
  days: readonly Days[],
  at: (day: Days) => number,
  width: number,
): SVGElement[] {
  const { top, height } = DOTS;
  const known = days.filter(({ arousal }) => arousal !== null);
  const points = known.map((day) => {
    return [at(day), top + height * (1 - (day.arousal ?? 0))] as const;
  });
  const line = points.map((point) => point.map((each) => each.toFixed(1)).join(","));
  const rules = [0, 0.5, 1].map((share) => {
    const y = String(top + height * share);
    return draw("line", { x1: String(LEFT), x2: String(width - RIGHT), y1: y, y2: y });
  });
  return [
    ...rules,
    text("animated", 0, top + 5),
    text("calm", 0, top + height + 5),
    draw("polyline", { points: line.join(" ") }),
    ...points.map(([x, y]) => draw("circle", { cx: String(x), cy: String(y), r: "5" })),
  ];
}

function stack(day: Days, x: number, top: number, width: number): SVGElement[] {
  let y = top;
  return Object.entries(day.probabilities).map(([emotion, share]) => {
    const height = share * BARS.height;
    const bar = draw("rect", {
      class: `fill-${emotion}`,
      x: x.toFixed(1),
      y: y.toFixed(1),
      width: width.toFixed(1),
      height: height.toFixed(1),
    });
    y += height;
    return bar;
  });
}

/** Return the dates of the first and last day, and of as many between as there is room for. */
function dates(
  days: readonly Days[],
  at: (day: Days) => number,
  y: number,
  width: number,
): SVGElement[] {
  const made: SVGElement[] = [];
  const isLong = spansYears(days);
  const half = isLong ? 38 : 26; // of the text, with a space
  let free = 0;
  for (const day of days) {
    const x = Math.min(at(day), width - RIGHT - half + 6); // the middle of the text
    if (x - half < free) continue;
    free = x + half;
    made.push(text(dateOf(day, isLong), x, y, "middle"));
  }
  return made;
}

function inWords(days: readonly Days[]): string {
  const isLong = spansYears(days);
  const each = days.slice(-31).map((day) => {
    const shares = Object.entries(day.probabilities).sort(([, a], [, b]) => b - a);
    const [[emotion, share]] = shares;
    const arousal = day.arousal === null ? "" : `, arousal ${day.arousal.toFixed(2)}`;
    return `${dateOf(day, isLong)}: ${emotion} ${percent(share)}${arousal}`;
  });
  return `The voice over days. ${each.join("; ")}`;
}

/** Whether a day and a month could be of two years. */
function spansYears(days: readonly Days[]): boolean {
  const [first, last] = [days[0], days[days.length - 1]];
  return last.start.getTime() - first.start.getTime() > 364 * DAY_MS;
}

function dateOf({ start }: Days, isLong: boolean): string {
  return start.toLocaleDateString("en-GB", {
    month: "short",
    ...(isLong ? { year: "numeric" } : { day: "numeric" }),
  });
}

function text(words: string, x: number, y: number, anchor = "start"): SVGElement {
  const made = draw("text", { x: x.toFixed(1), y: String(y), "text-anchor": anchor });
  made.textContent = words;
  return made;
}

function draw(tag: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
