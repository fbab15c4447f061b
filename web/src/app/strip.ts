/** Live view of the completed windows during an analysis. */

import type { Analyzer, Estimate } from "../espressivo";
import { drawAxis, drawBand } from "./drawing";
import { legendOf, make } from "./elements";
import { paletteOf, penOf, Scale } from "./scale";
import { clock } from "./words";

const SHOWN_S = 60; // seconds shown of a recording of unknown length: the newest
const BAND = 80; // pixels
const HEIGHT = 108;

export class Strip {
  private readonly canvas = make("canvas", { class: "strip", role: "img" });
  private readonly estimates: Estimate[] = [];
  private provisional: Estimate | null = null;

  constructor(
    place: HTMLElement,
    private readonly analyzer: Analyzer,
  ) {
    const { emotions, certainty } = analyzer.card;
    const patterns = certainty ? { unsure: "not sure" } : {};
    place.replaceChildren(this.canvas, legendOf(emotions, patterns));
    this.canvas.setAttribute("aria-label", "No windows so far");
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
    const to_s = total_s ?? Math.max(length_s, SHOWN_S / 2);
    const from_s = total_s ? 0 : Math.max(0, length_s - SHOWN_S);
    this.draw(from_s, Math.max(to_s, length_s));
  }

  private draw(from_s: number, to_s: number): void {
    const pen = penOf(this.canvas, HEIGHT);
    if (!pen) return;
    const { provisional, analyzer } = this;
    const palette = paletteOf(this.canvas);
    const scale = new Scale(from_s, to_s, 0, this.canvas.clientWidth);
    pen.fillStyle = palette.line;
    pen.fillRect(0, BAND, scale.width, 2);
    const windows = {
      emotions: analyzer.card.emotions,
      estimates: provisional ? [...this.estimates, provisional] : this.estimates,
      isUncertain: (each: Estimate) => analyzer.isUncertain(each),
    };
    drawBand(pen, windows, scale, palette, { top: 0, height: BAND }, provisional);
    drawAxis(pen, scale, palette, HEIGHT - 8);
  }
}
