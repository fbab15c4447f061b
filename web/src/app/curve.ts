/** The curve of arousal below the windows. */

import type { Report } from "../espressivo";
import { type Palette, type Scale, visible } from "./scale";

const TITLE = 22; // heights, in pixels
const BOX = 50;
const POINT = 6; // distance of the points where windows are narrow

/** Where the curve's box is below its top, and the height of all. */
export const CURVE = { top: TITLE, box: BOX, height: TITLE + BOX + 4 };

/** Draw arousal over time: each window, or means where windows are narrow. */
export function drawArousal(
  pen: CanvasRenderingContext2D,
  report: Report,
  scale: Scale,
  palette: Palette,
  top: number,
): void {
  const y = (value: number) => top + TITLE + (1 - value) * BOX;
  pen.fillStyle = palette.soft;
  pen.fillText("arousal: calm below, animated above", scale.left, top + 14);
  drawBox(pen, scale, palette, y);
  const points = arousalOf(report, scale);
  pen.lineJoin = pen.lineCap = "round";
  pen.strokeStyle = palette.ink;
  const ends = points.flatMap(({ left, right, value }): [number, number][] => [
    [left, y(value)],
    [right, y(value)],
  ]);
  const isWide = points.some(({ left, right }) => right > left);
  pen.globalAlpha = isWide ? 0.35 : 1;
  pen.lineWidth = isWide ? 1 : 2;
  line(pen, ends);
  pen.globalAlpha = 1;
  pen.lineWidth = 2;
  for (const { left, right, value } of points) {
    line(pen, [
      [left, y(value)],
      [Math.max(left + 0.1, right), y(value)],
    ]);
  }
}

function drawBox(
  pen: CanvasRenderingContext2D,
  scale: Scale,
  palette: Palette,
  y: (value: number) => number,
): void {
  pen.strokeStyle = palette.line;
  pen.lineWidth = 1;
  for (const value of [0, 0.5, 1]) {
    pen.setLineDash(value === 0.5 ? [4, 4] : []);
    line(pen, [
      [scale.left, y(value)],
      [scale.left + scale.width, y(value)],
    ]);
  }
  pen.setLineDash([]);
}

function arousalOf(report: Report, scale: Scale) {
  const spans = visible(report, scale);
  const wide = spans.filter(({ left, right }) => right - left >= POINT).length;
  if (wide > spans.length / 2) {
    return spans.map(({ estimate, left, right }) => ({
      left: left + 1,
      right: Math.max(left + 1, right - 1),
      value: estimate.dimensions?.arousal ?? 0,
    }));
  }
  const bins = new Map<number, { sum: number; weight: number }>();
  for (const { estimate, left, right } of spans) {
    const key = Math.floor((left + right) / 2 / POINT);
    const bin = bins.get(key) ?? { sum: 0, weight: 0 };
    bin.sum += (estimate.dimensions?.arousal ?? 0) * (right - left);
    bin.weight += right - left;
    bins.set(key, bin);
  }
  return [...bins].map(([key, { sum, weight }]) => {
    const x = POINT * (key + 0.5);
    return { left: x, right: x, value: sum / weight };
  });
}

function line(pen: CanvasRenderingContext2D, points: [number, number][]): void {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}
