/** Arousal and valence as a path through time. */

import { type Emotion, type Report, SAMPLE_RATE } from "../espressivo";
import { argmax } from "../espressivo/report";
import { samplesIn } from "../espressivo/types";
import { make } from "./elements";
import { paletteOf, penOf } from "./scale";
import { clock } from "./words";

const MOST_POINTS = 16; // more could not be followed
const LARGEST = 380; // pixels
const MARGIN = { left: 26, top: 24, right: 14, bottom: 26 };
const NEAR = 24; // pixels from a point at which the pointer means it

/** Mean of some windows in a row. */
export interface PathPoint {
  readonly arousal: number;
  readonly valence: number;
  readonly emotion: Emotion;
  readonly start_s: number;
  readonly end_s: number;
  /** Indices of the first window, and of the one after the last. */
  readonly first: number;
  readonly end: number;
}

/** Return the path of a report, of at most 16 points; empty without both dimensions. */
export function pathOf(report: Report): PathPoint[] {
  const { dimensionNames, estimates, emotions } = report;
  const isPlane = (["arousal", "valence"] as const).every((each) =>
    dimensionNames.includes(each),
  );
  if (!isPlane || estimates.length === 0) return [];
  const n = Math.min(MOST_POINTS, estimates.length);
  return Array.from({ length: n }, (_, k) => {
    const first = Math.floor((k * estimates.length) / n);
    const end = Math.floor(((k + 1) * estimates.length) / n);
    const part = estimates.slice(first, end);
    const weight = part.reduce((sum, { segment }) => sum + samplesIn(segment), 0);
    const mean = (of: (each: (typeof part)[0]) => number) =>
      part.reduce((sum, each) => sum + of(each) * samplesIn(each.segment), 0) / weight;
    return {
      arousal: mean(({ dimensions }) => dimensions?.arousal ?? 0),
      valence: mean(({ dimensions }) => dimensions?.valence ?? 0),
      emotion:
        emotions[
          argmax(emotions.map((name) => mean(({ probabilities }) => probabilities[name])))
        ],
      start_s: part[0].segment.start / SAMPLE_RATE,
      end_s: (part.at(-1) ?? part[0]).segment.end / SAMPLE_RATE,
      first,
      end,
    };
  });
}

/** The plane of arousal and valence; hovering and tapping select windows. */
export class Path {
  private readonly canvas = make("canvas", { role: "img" });
  private readonly points: PathPoint[];
  private readonly observer = new ResizeObserver(() => this.draw());
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw();
  private marked = -1;

  /**
   * @param choose Callback, called with a point that is hovered or tapped.
   */
  constructor(
    place: HTMLElement,
    report: Report,
    choose: (point: PathPoint, isTap: boolean) => void,
  ) {
    this.points = pathOf(report);
    place.hidden = this.points.length === 0;
    if (place.hidden) {
      place.replaceChildren();
      return;
    }
    const summary = make("summary", {}, "Arousal and valence as a path through time");
    const some = this.points.some(({ first, end }) => end - first > 1);
    const text =
      `Each dot is ${some ? "the mean of some windows in a row" : "a window"}; the line grows stronger with time. ` +
      "Both values are from 0 to 1, and 0.5 is neutral. Valence, how pleasant a voice sounds, " +
      "is harder to hear than arousal: the model's card says how far it can be trusted.";
    const open = place instanceof HTMLDetailsElement && place.open;
    place.replaceChildren(summary, this.canvas, make("p", { class: "fine" }, text));
    if (place instanceof HTMLDetailsElement) place.open = open;
    const [start, last] = [this.points[0], this.points[this.points.length - 1]];
    const at = ({ arousal, valence }: PathPoint) =>
      `arousal ${arousal.toFixed(2)} and valence ${valence.toFixed(2)}`;
    const label = `Path from ${at(start)} at the start to ${at(last)} at the end`;
    this.canvas.setAttribute("aria-label", label);
    this.canvas.addEventListener("pointermove", (event) => {
      const i = event.pointerType === "mouse" ? this.nearest(event) : -1;
      if (i >= 0 && i !== this.marked) choose(this.points[i], false);
    });
    this.canvas.addEventListener("click", (event) => {
      const i = this.nearest(event);
      if (i >= 0) choose(this.points[i], true);
    });
    this.observer.observe(this.canvas);
    this.dark.addEventListener("change", this.redraw);
  }

  /** Mark the point of a window; -1 for none. */
  mark(window: number): void {
    const marked = this.points.findIndex(
      ({ first, end }) => first <= window && window < end,
    );
    if (marked === this.marked) return;
    this.marked = marked;
    this.draw();
  }

  /** Let go of the page. */
  destroy(): void {
    this.observer.disconnect();
    this.dark.removeEventListener("change", this.redraw);
  }

  private get size(): number {
    return Math.min(LARGEST, this.canvas.clientWidth);
  }

  private place({ arousal, valence }: PathPoint): [x: number, y: number] {
    const width = this.size - MARGIN.left - MARGIN.right;
    const height = this.size - MARGIN.top - MARGIN.bottom;
    return [MARGIN.left + valence * width, MARGIN.top + (1 - arousal) * height];
  }

  private nearest({ offsetX, offsetY }: MouseEvent): number {
    const away = this.points.map((each) => {
      const [x, y] = this.place(each);
      return Math.hypot(x - offsetX, y - offsetY);
    });
    const nearest = Math.min(...away);
    return nearest <= NEAR ? away.indexOf(nearest) : -1;
  }

  private draw(): void {
    const { points, size } = this;
    const pen = points.length ? penOf(this.canvas, size) : null;
    if (!pen) return;
    const palette = paletteOf(this.canvas);
    this.drawPlane(pen);
    pen.lineCap = "round";
    pen.strokeStyle = palette.ink;
    pen.lineWidth = 2;
    for (let i = 1; i < points.length; i++) {
      pen.globalAlpha = 0.15 + (0.6 * i) / points.length;
      pen.beginPath();
      pen.moveTo(...this.place(points[i - 1]));
      pen.lineTo(...this.place(points[i]));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    for (const [i, point] of points.entries()) {
      const isEnd = i === 0 || i === points.length - 1;
      pen.beginPath();
      pen.arc(...this.place(point), i === this.marked ? 8 : isEnd ? 6 : 4, 0, 2 * Math.PI);
      pen.fillStyle = palette[point.emotion];
      pen.fill();
      pen.strokeStyle =
        i === this.marked ? palette.accent : isEnd ? palette.ink : palette.card;
      pen.lineWidth = i === this.marked ? 3 : 1.5;
      pen.stroke();
    }
    const marked = points[this.marked];
    if (marked)
      this.write(pen, this.marked, `${clock(marked.start_s)} to ${clock(marked.end_s)}`);
    if (this.marked !== 0) this.write(pen, 0, points.length > 1 ? "start" : "");
    const last = points.length - 1;
    if (this.marked !== last && last > 0) this.write(pen, last, "end");
  }

  /** Draw the axes, with their ends in words. */
  private drawPlane(pen: CanvasRenderingContext2D): void {
    const palette = paletteOf(this.canvas);
    const { left, top } = MARGIN;
    const [right, bottom] = [this.size - MARGIN.right, this.size - MARGIN.bottom];
    pen.strokeStyle = palette.line;
    pen.strokeRect(left, top, right - left, bottom - top);
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.moveTo((left + right) / 2, top);
    pen.lineTo((left + right) / 2, bottom);
    pen.moveTo(left, (top + bottom) / 2);
    pen.lineTo(right, (top + bottom) / 2);
    pen.stroke();
    pen.setLineDash([]);
    pen.font = `12px ${palette.font}`;
    pen.fillStyle = palette.soft;
    const below = this.size - 8;
    pen.fillText("unpleasant", left, below);
    pen.textAlign = "center";
    pen.fillText("valence", (left + right) / 2, below);
    pen.textAlign = "right";
    pen.fillText("pleasant", right, below);
    pen.save();
    pen.rotate(-Math.PI / 2);
    pen.fillText("animated", -top, 14);
    pen.textAlign = "center";
    pen.fillText("arousal", -(top + bottom) / 2, 14);
    pen.textAlign = "left";
    pen.fillText("calm", -bottom, 14);
    pen.restore();
  }

  /** Write beside a point, on a ground on which it can be read. */
  private write(pen: CanvasRenderingContext2D, i: number, text: string): void {
    const palette = paletteOf(this.canvas);
    const [x, y] = this.place(this.points[i]);
    const { width } = pen.measureText(text);
    const isLeft = i === 0 ? x - 12 - width > MARGIN.left : x + 12 + width > this.size - 2;
    const left = isLeft ? x - 12 - width : x + 12;
    pen.globalAlpha = 0.8;
    pen.fillStyle = palette.card;
    pen.fillRect(left - 3, y - 8, width + 6, 16);
    pen.globalAlpha = 1;
    pen.fillStyle = palette.ink;
    pen.textAlign = "left";
    pen.fillText(text, left, y + 4);
  }
}
