/** The whole recording in small, and what part of it is shown; hidden if that is all. */

import type { Report } from "../espressivo";
import { drawBand } from "./drawing";
import { make } from "./elements";
import { type Palette, penOf, Scale } from "./scale";
import { clock } from "./words";

const HEIGHT = 30; // pixels

export class Minimap {
  private readonly canvas = make("canvas");
  private readonly frame = make("div", { class: "map-frame" });
  private readonly range = make("p", { class: "fine" });
  private readonly map = make(
    "div",
    { class: "map", "aria-hidden": "true" },
    this.canvas,
    this.frame,
  );
  readonly place = make("div", { class: "shown" }, this.map, this.range);

  /** @param jump Callback, called with the time that was pressed, in seconds. */
  constructor(
    private readonly report: Report,
    private readonly end_s: number,
    jump: (at_s: number) => void,
  ) {
    this.place.hidden = true;
    const press = ({ clientX, buttons }: PointerEvent) => {
      const { left, width } = this.map.getBoundingClientRect();
      if (buttons) jump((end_s * (clientX - left)) / width);
    };
    this.map.addEventListener("pointerdown", (event) => {
      this.map.setPointerCapture(event.pointerId);
      press(event);
    });
    this.map.addEventListener("pointermove", press);
  }

  draw(from_s: number, to_s: number, palette: Palette): void {
    this.place.hidden = to_s - from_s >= this.end_s - 1e-6;
    const pen = this.place.hidden ? null : penOf(this.canvas, HEIGHT);
    if (!pen) return;
    const scale = new Scale(0, this.end_s, 0, this.canvas.clientWidth);
    pen.fillStyle = palette.pause;
    pen.fillRect(0, HEIGHT / 2 - 2, scale.width, 4);
    drawBand(pen, this.report, scale, palette, { top: 8, height: HEIGHT - 16 });
    this.frame.style.left = `${scale.x(from_s)}px`;
    this.frame.style.width = `${Math.max(8, scale.x(to_s) - scale.x(from_s))}px`;
    const end = clock(Math.round(this.end_s));
    this.range.textContent = `${clock(from_s)} to ${clock(to_s)} of ${end} shown`;
  }
}
