/**
 * Drawing of a recording over time on a canvas: loudness, windows, clock and arousal.
 *
 * A canvas costs the same for an hour of windows as for ten seconds of them.
 */

import { type Estimate, type Report, SAMPLE_RATE } from "../espressivo";
import { argmax } from "../espressivo/report";
import { CURVE, drawArousal } from "./curve";
import { type Palette, Scale, visible, type Windows } from "./scale";
import { clock } from "./words";

const WAVE = 92; // heights, in pixels
const BAND = 34;
const AXIS = 22;
const BAR = 4; // one bar of the loudness, and the narrowest window drawn by itself
const RANGE_DB = 45; // below the loud parts; what is quieter has no height
const STRIPE = 2.5; // width of the stripes over an uncertain window,
const STRIPES = 8; // and from one to the next
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Return loudness as heights from 0 to 1; the loud parts of the recording reach 1. */
export function heightsOf(loudness: Float32Array | null): Float32Array | null {
  if (!loudness?.length) return null;
  const loud = [...loudness].sort((a, b) => a - b)[
    Math.floor(0.98 * (loudness.length - 1))
  ];
  return loudness.map((db) =>
    loud <= -99 ? 0 : Math.min(1, Math.max(0, 1 + (db - loud) / RANGE_DB)),
  );
}

/** Return the height of the drawing of a report, in pixels. */
export function heightOf(report: Report): number {
  return axisOf(report) + AXIS + (hasArousal(report) ? CURVE.height : 0);
}

/** Return where the clock begins: below the windows, if there are any. */
function axisOf({ estimates }: Report): number {
  return WAVE + (estimates.length ? BAND : 0);
}

export function hasArousal({ dimensionNames, estimates }: Report): boolean {
  return dimensionNames.includes("arousal") && estimates.length > 0;
}

/** Draw a report: loudness, windows, clock and, of models that have it, arousal. */
export function drawReport(
  pen: CanvasRenderingContext2D,
  report: Report,
  heights: Float32Array | null,
  scale: Scale,
  palette: Palette,
): void {
  const axis = axisOf(report);
  const curve = hasArousal(report)
    ? [{ top: axis + AXIS + CURVE.top, height: CURVE.box }]
    : [];
  drawAxis(pen, scale, palette, axis + 15, [{ top: 0, height: axis }, ...curve]);
  drawWave(pen, report, heights, scale, palette);
  drawBand(pen, report, scale, palette, { top: WAVE, height: BAND });
  for (const { start, end } of report.gaps) {
    const [left, right] = [scale.x(start / SAMPLE_RATE), scale.x(end / SAMPLE_RATE)];
    const hole = new Path2D();
    hole.rect(left, 0, Math.max(2, right - left), axis);
    stripe(pen, hole, scale, { top: 0, height: axis }, palette.soft, -1);
  }
  if (hasArousal(report)) drawArousal(pen, report, scale, palette, axis + AXIS);
}

/** Draw windows as a band: their emotions stacked, or the means where they are narrow. */
export function drawBand(
  pen: CanvasRenderingContext2D,
  windows: Windows,
  scale: Scale,
  palette: Palette,
  place: { top: number; height: number },
  provisional: Estimate | null = null,
): void {
  const uncertain = new Path2D();
  for (const part of partsOf(windows, scale)) {
    const { left, width, probabilities } = part;
    const shape = new Path2D();
    shape.roundRect(left, place.top, width, place.height, Math.min(4, width / 4));
    pen.save();
    pen.clip(shape);
    const isProvisional = part.estimate !== null && part.estimate === provisional;
    const overlap = isProvisional ? 0 : 0.5; // against seams
    pen.globalAlpha = isProvisional ? 0.55 : 1;
    let top = place.top;
    for (const [i, p] of probabilities.entries()) {
      pen.fillStyle = palette[windows.emotions[i]];
      pen.fillRect(left, top, width, p * place.height + overlap);
      top += p * place.height;
    }
    pen.restore();
    if (part.isUncertain) uncertain.rect(left, place.top, width, place.height);
  }
  stripe(pen, uncertain, scale, place, palette.card, 1);
}

/** Draw the clock, and its lines through what is above and below. */
export function drawAxis(
  pen: CanvasRenderingContext2D,
  scale: Scale,
  palette: Palette,
  y: number,
  lines: readonly { top: number; height: number }[] = [],
): void {
  const wanted = ((scale.to_s - scale.from_s) / scale.width) * 76;
  const step = STEPS_S.find((each) => each >= wanted) ?? Math.ceil(wanted / 86400) * 86400;
  pen.font = `12px ${palette.font}`;
  for (let at_s = Math.ceil(scale.from_s / step) * step; at_s <= scale.to_s; at_s += step) {
    const x = scale.x(at_s);
    const isLast = x > scale.left + scale.width - 24;
    pen.textAlign = x < scale.left + 18 ? "left" : isLast ? "right" : "center";
    pen.fillStyle = palette.line;
    for (const { top, height } of lines) pen.fillRect(Math.round(x), top, 1, height);
    pen.fillStyle = palette.soft;
    pen.fillText(clock(at_s), x, y);
  }
  pen.textAlign = "left";
}

/** What of windows lies in one stretch of the drawing. */
interface Part {
  readonly left: number;
  readonly width: number;
  readonly probabilities: readonly number[];
  readonly isUncertain: boolean;
  readonly estimate: Estimate | null;
}

/** Return the visible windows, or equal parts with their means where they are narrow. */
function partsOf(windows: Windows, scale: Scale): Part[] {
  const spans = visible(windows, scale);
  const typical = spans.reduce((sum, { left, right }) => sum + right - left, 0);
  if (typical < 2 * BAR * spans.length) {
    const n = Math.max(1, Math.floor(scale.width / BAR));
    const step = scale.width / n;
    return columnsOf(windows, scale, n).flatMap((column, i) =>
      column.probabilities
        ? [{ ...column, left: scale.left + i * step, width: step + 0.3, estimate: null }]
        : [],
    ) as Part[];
  }
  return spans.map(({ estimate, left, right }) => ({
    left: left + 0.5,
    width: Math.max(1, right - left - 1.5),
    probabilities: Object.values(estimate.probabilities),
    isUncertain: windows.isUncertain(estimate) === true,
    estimate,
  }));
}

interface Column {
  /** Mean of the windows there, by their length; null in a pause. */
  readonly probabilities: readonly number[] | null;
  readonly isUncertain: boolean;
}

/** Return the means of windows in equal parts of what is drawn. */
function columnsOf(windows: Windows, scale: Scale, n: number): Column[] {
  const step = (scale.to_s - scale.from_s) / n;
  const { estimates, emotions } = windows;
  let i = 0;
  return Array.from({ length: n }, (_, column) => {
    const from_s = scale.from_s + column * step;
    const [from, to] = [from_s * SAMPLE_RATE, (from_s + step) * SAMPLE_RATE];
    while (i < estimates.length && estimates[i].segment.end <= from) i++;
    const sums = emotions.map(() => 0);
    let [covered, doubtful] = [0, 0];
    for (let j = i; j < estimates.length && estimates[j].segment.start < to; j++) {
      const { segment, probabilities } = estimates[j];
      const overlap = Math.min(to, segment.end) - Math.max(from, segment.start);
      for (const [k, emotion] of emotions.entries())
        sums[k] += probabilities[emotion] * overlap;
      covered += overlap;
      if (windows.isUncertain(estimates[j])) doubtful += overlap;
    }
    const isSpeech = covered > 0.15 * (to - from);
    const probabilities = isSpeech ? sums.map((sum) => sum / covered) : null;
    return { probabilities, isUncertain: doubtful > covered / 2 };
  });
}

/** Draw loudness as bars in the colour of what is said there; pale where uncertain. */
function drawWave(
  pen: CanvasRenderingContext2D,
  report: Report,
  heights: Float32Array | null,
  scale: Scale,
  palette: Palette,
): void {
  const n = Math.max(1, Math.floor(scale.width / BAR));
  const [step, step_s] = [scale.width / n, (scale.to_s - scale.from_s) / n];
  for (const [i, { probabilities, isUncertain }] of columnsOf(report, scale, n).entries()) {
    const from_s = scale.from_s + i * step_s;
    if (from_s >= report.duration_s) break;
    const flat = probabilities ? 0.6 : 0;
    const height = heights ? meanOf(heights, from_s * 10, (from_s + step_s) * 10) : flat;
    const tall = Math.max(1.5, height ** 1.5 * (WAVE - 10));
    pen.fillStyle = probabilities
      ? palette[report.emotions[argmax(probabilities)]]
      : palette.pause;
    pen.globalAlpha = isUncertain ? 0.45 : 1;
    pen.fillRect(scale.left + i * step + 0.5, (WAVE - 4 - tall) / 2, step - 1, tall);
  }
  pen.globalAlpha = 1;
}

/** Stripe a shape: what is striped differs without its colours too. */
function stripe(
  pen: CanvasRenderingContext2D,
  shape: Path2D,
  scale: Scale,
  { top, height }: { top: number; height: number },
  color: string,
  slope: 1 | -1,
): void {
  pen.save();
  pen.clip(shape);
  pen.strokeStyle = color;
  pen.lineWidth = slope > 0 ? STRIPE : 1;
  pen.beginPath();
  // From one grid for the whole drawing, so that stripes do not jump with each window.
  for (let x = scale.left - height; x < scale.left + scale.width + height; x += STRIPES) {
    pen.moveTo(x, slope > 0 ? top + height : top);
    pen.lineTo(x + height, slope > 0 ? top : top + height);
  }
  pen.stroke();
  pen.restore();
}

/** Stripe a box of a legend: like an uncertain window (1), or like a hole (-1). */
export function stripeBox(
  pen: CanvasRenderingContext2D,
  box: { left: number; top: number; width: number; height: number },
  color: string,
  slope: 1 | -1 = 1,
): void {
  const shape = new Path2D();
  shape.rect(box.left, box.top, box.width, box.height);
  stripe(pen, shape, new Scale(0, 1, box.left, box.width), box, color, slope);
}

function meanOf(values: Float32Array, from: number, to: number): number {
  const first = Math.min(values.length - 1, Math.floor(from));
  const last = Math.min(values.length, Math.max(first + 1, Math.floor(to)));
  let sum = 0;
  for (let i = first; i < last; i++) sum += values[i];
  return sum / (last - first);
}
