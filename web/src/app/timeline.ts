/** The windows of a recording along its time; each can be chosen, to hear it. */

import type { Emotion, Estimate } from "../espressivo";
import { SAMPLE_RATE } from "../espressivo";
import { argmax } from "../espressivo/report";
import { make } from "./elements";
import { clock, percent } from "./words";

const PIXELS_A_SECOND = 7; // at least, so that a window of 8 s can be hit with a thumb
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

export class Timeline {
  private readonly lane = make("div", { class: "lane" });
  private readonly scroll = make("div", { class: "scroll" });
  private readonly head = make("div", { class: "head", "aria-hidden": "true" });
  private estimates: Estimate[] = [];
  private provisional: Estimate | null = null;
  private length_s = 1;
  private buttons: HTMLElement[] = [];

  /**
   * @param choose Called with the window that was chosen; without, none can be.
   */
  constructor(
    place: HTMLElement,
    private readonly emotions: readonly Emotion[],
    private readonly choose: ((estimate: Estimate) => void) | null = null,
  ) {
    this.head.hidden = true;
    this.scroll.append(this.lane);
    const legend = emotions.map((emotion) =>
      make("span", {}, make("i", { class: `of-${emotion}` }), emotion),
    );
    place.replaceChildren(this.scroll, make("p", { class: "legend" }, ...legend));
    this.scroll.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Add windows, and say how long the recording is, so far. */
  add(
    estimates: readonly Estimate[],
    provisional: Estimate | null,
    length_s: number,
  ): void {
    this.estimates.push(...estimates);
    if (provisional || estimates.length) this.provisional = provisional;
    this.length_s = Math.max(length_s, 1);
    this.draw();
    if (!this.choose) this.scroll.scrollLeft = this.scroll.scrollWidth;
  }

  /** Show where the playing is, and which window that is; null: nowhere. */
  mark(at_s: number | null): void {
    this.head.hidden = at_s === null;
    if (at_s === null) return;
    this.head.style.left = this.left(at_s);
    this.estimates.forEach(({ segment }, i) => {
      const within =
        segment.start <= at_s * SAMPLE_RATE && at_s * SAMPLE_RATE < segment.end;
      if (within) this.buttons[i]?.setAttribute("aria-current", "true");
      else this.buttons[i]?.removeAttribute("aria-current");
    });
  }

  private draw(): void {
    const shown = this.provisional ? [...this.estimates, this.provisional] : this.estimates;
    this.buttons = shown.map((estimate) => this.window(estimate));
    this.lane.style.width = `max(100%, ${Math.ceil(this.length_s * PIXELS_A_SECOND)}px)`;
    this.lane.replaceChildren(
      make("div", { class: "rail" }),
      ...this.ticks(),
      ...this.buttons,
      this.head,
    );
  }

  private window(estimate: Estimate): HTMLElement {
    const { segment, probabilities } = estimate;
    const [start_s, end_s] = [segment.start / SAMPLE_RATE, segment.end / SAMPLE_RATE];
    const best = argmax(probabilities);
    const label =
      `${clock(start_s)} to ${clock(end_s)}: ${this.emotions[best]}, ` +
      percent(probabilities[best]);
    const parts = this.emotions.map((emotion, i) => {
      const part = make("i", { class: `of-${emotion}` });
      part.style.height = `${100 * probabilities[i]}%`;
      return part;
    });
    const choose = this.choose;
    const box = choose
      ? make(
          "button",
          { type: "button", "aria-label": `Play ${label}`, title: label },
          ...parts,
        )
      : make("div", { role: "img", "aria-label": label, title: label }, ...parts);
    box.classList.add("window");
    if (estimate === this.provisional) box.classList.add("provisional");
    box.style.left = this.left(start_s);
    box.style.width = `calc(${(100 * (end_s - start_s)) / this.length_s}% - 2px)`;
    if (choose) box.addEventListener("click", () => choose(estimate));
    return box;
  }

  private ticks(): HTMLElement[] {
    const wanted = Math.min(8, Math.max(3, Math.floor(this.length_s)));
    const width = Math.max(this.scroll.clientWidth, this.length_s * PIXELS_A_SECOND);
    const most = Math.max(wanted, width / 90);
    const step = STEPS_S.find((each) => this.length_s / each <= most) ?? 7200;
    const n = Math.floor(this.length_s / step);
    return Array.from({ length: n + 1 }, (_, i) => {
      const tick = make("span", { class: "tick", "aria-hidden": "true" }, clock(i * step));
      tick.style.left = this.left(i * step);
      if (i === 0) tick.classList.add("first");
      else if (i * step > 0.96 * this.length_s) tick.classList.add("last");
      return tick;
    });
  }

  private left(at_s: number): string {
    return `${(100 * Math.min(at_s, this.length_s)) / this.length_s}%`;
  }

  /** Arrows go from window to window. */
  private onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const now = this.buttons.indexOf(document.activeElement as HTMLElement);
    if (!step || now < 0) return;
    event.preventDefault();
    this.buttons[now + step]?.focus();
  }
}
