/**
 * Live view of the completed windows during an analysis.
 *
 * It is a canvas, unlike the timeline of a result: it is redrawn with every block, and
 * redrawing an hour of elements that often takes hundreds of megabytes.
 */

import { type Analyzer, type Emotion, type Estimate, SAMPLE_RATE } from "../espressivo";
import { legendOf, make } from "./elements";
import { clock } from "./words";

const SHOWN_S = 60; // seconds shown of a recording of unknown length: the newest
const BARS = 80; // pixels
const HEIGHT = 108;
const STRIPE = 2.5; // pixels: width of the stripes over an uncertain window,
const STRIPES = 9; // and from one to the next
const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

export class Strip {
  private readonly canvas = make("canvas", { class: "strip", role: "img" });
  private readonly estimates: Estimate[] = [];
  private readonly emotions: readonly Emotion[];
  private provisional: Estimate | null = null;

  constructor(
    place: HTMLElement,
    private readonly analyzer: Analyzer,
  ) {
    this.emotions = analyzer.card.emotions;
    const patterns = analyzer.card.certainty ? { unsure: "not sure" } : {};
    place.replaceChildren(this.canvas, legendOf(this.emotions, patterns));
  }

  /**
   * Add windows.
   *
   * @param length_s Duration of the recording so far, in seconds.
   * @param total_s Duration of the whole recording, in seconds; null if unknown.
   */
  add(
    estimates: readonly Estimate[],
    provisional: Estimate | null,
    length_s: number,
    total_s: number | null,
  ): void {
    this.estimates.push(...estimates);
    if (provisional || estimates.length) this.provisional = provisional;
    const n = this.estimates.length;
    const label = `${n} ${n === 1 ? "window" : "windows"} in ${clock(length_s)} so far`;
    const unsure = this.estimates.filter((each) => this.analyzer.isUncertain(each)).length;
    this.canvas.setAttribute("aria-label", label + (unsure ? `, ${unsure} not sure` : ""));
    const to = total_s ?? Math.max(length_s, SHOWN_S / 2);
    this.draw(total_s ? 0 : Math.max(0, length_s - SHOWN_S), Math.max(to, length_s));
  }

  private draw(from_s: number, to_s: number): void {
    const { canvas } = this;
    const style = getComputedStyle(canvas);
    const color = (name: string) => style.getPropertyValue(`--${name}`);
    const width = canvas.clientWidth;
    const dense = window.devicePixelRatio;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(HEIGHT * dense);
    const pen = canvas.getContext("2d");
    if (!pen || width === 0) return;
    pen.scale(dense, dense);
    const at = (s: number) => ((s - from_s) / (to_s - from_s)) * width;
    pen.fillStyle = color("line");
    pen.fillRect(0, BARS, width, 2);
    const shown = this.provisional ? [...this.estimates, this.provisional] : this.estimates;
    for (const estimate of shown) {
      const [start, end] = [estimate.segment.start, estimate.segment.end];
      const left = at(start / SAMPLE_RATE);
      const right = at(end / SAMPLE_RATE);
      if (right < 0) continue;
      pen.globalAlpha = estimate === this.provisional ? 0.55 : 1;
      let top = 0;
      for (const [i, p] of estimate.probabilities.entries()) {
        pen.fillStyle = color(this.emotions[i]);
        pen.fillRect(left, top, Math.max(1, right - left - 1), p * BARS);
        top += p * BARS;
      }
      if (!this.analyzer.isUncertain(estimate)) continue;
      pen.globalAlpha = 1;
      hatch(pen, left, Math.max(1, right - left - 1), color("card"));
    }
    pen.globalAlpha = 1;
    pen.fillStyle = color("soft");
    pen.font = `12px ${style.fontFamily}`;
    const step = STEPS_S.find((each) => at(from_s + each) >= 56) ?? 7200;
    for (let s = Math.ceil(from_s / step) * step; at(s) < width - 30; s += step) {
      pen.fillText(clock(s), at(s), HEIGHT - 6);
    }
  }
}

/** Draw the pattern of an uncertain window, as style.css does: of-unsure. */
function hatch(
  pen: CanvasRenderingContext2D,
  left: number,
  width: number,
  color: string,
): void {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, width, BARS);
  pen.clip();
  pen.strokeStyle = color;
  pen.lineWidth = STRIPE;
  pen.beginPath();
  // From a grid of the whole strip, so that stripes do not jump with each window.
  const first = Math.floor((left - BARS) / STRIPES) * STRIPES;
  for (let x = first; x < left + width; x += STRIPES) {
    pen.moveTo(x, BARS);
    pen.lineTo(x + BARS, 0);
  }
  pen.stroke();
  pen.restore();
}
