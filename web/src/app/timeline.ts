/** Timeline of a recording's windows, each of which can be selected and played. */

import { type Estimate, type Report, SAMPLE_RATE, type Segment } from "../espressivo";
import { legendOf, make } from "./elements";
import { clock, inWords } from "./words";

const PIXELS_A_SECOND = 7; // minimum, at which a window of 8 s is wide enough for a thumb
const PIXELS_A_TICK = 64;
const PADDING = 4; // of .scroll, for the ring around a window
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

export class Timeline {
  private readonly lane = make("div", { class: "lane" });
  private readonly scroll = make("div", { class: "scroll" });
  private readonly head = make("div", { class: "head", "aria-hidden": "true" });
  private readonly marks = make("div", { "aria-hidden": "true" });
  private readonly boxes: HTMLElement[];
  private readonly length_s: number;
  private current = -1;

  /** @param choose Callback, called with the selected window. */
  constructor(
    place: HTMLElement,
    private readonly report: Report,
    private readonly choose: (estimate: Estimate) => void,
  ) {
    this.length_s = Math.max(report.duration_s, 1);
    this.boxes = report.estimates.map((estimate) => this.box(estimate));
    this.head.hidden = true;
    this.lane.style.setProperty("--for", String(this.length_s));
    const rail = make("div", { class: "rail" });
    this.lane.append(rail, this.marks, ...report.gaps.map(hole), ...this.boxes, this.head);
    this.scroll.append(this.lane);
    const patterns = {
      ...(report.certainty && { unsure: "not sure" }),
      ...(report.gaps.length && { hole: "no sound in the file" }),
    };
    place.replaceChildren(this.scroll, legendOf(report.emotions, patterns));
    this.scroll.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.fit()).observe(this.scroll);
    this.fit();
  }

  /** Show the playback position and its window; null for none. */
  mark(at_s: number | null): void {
    this.head.hidden = at_s === null;
    this.head.style.setProperty("--from", String(Math.min(at_s ?? 0, this.length_s)));
    const at = (at_s ?? -1) * SAMPLE_RATE;
    const current = this.report.estimates.findIndex(
      ({ segment }) => segment.start <= at && at < segment.end,
    );
    if (current === this.current) return;
    this.boxes[this.current]?.removeAttribute("aria-current");
    this.boxes[current]?.setAttribute("aria-current", "true");
    this.current = current;
  }

  /** Scale the timeline to the width of the page, or wider, so that it scrolls. */
  private fit(): void {
    const room = this.scroll.clientWidth - 2 * PADDING;
    const scale = Math.max(PIXELS_A_SECOND, room / this.length_s);
    this.lane.style.setProperty("--scale", String(scale));
    const step = STEPS_S.find((each) => each * scale >= PIXELS_A_TICK) ?? 3600;
    const ticks = Array.from({ length: Math.floor(this.length_s / step) + 1 }, (_, i) => {
      const tick = make("span", { class: i ? "tick" : "tick first" }, clock(i * step));
      tick.style.setProperty("--from", String(i * step));
      return tick;
    });
    this.marks.replaceChildren(...ticks);
  }

  private box(estimate: Estimate): HTMLElement {
    const { segment, probabilities } = estimate;
    const [start_s, end_s] = [segment.start / SAMPLE_RATE, segment.end / SAMPLE_RATE];
    const uncertain = this.report.isUncertain(estimate);
    const found = inWords(this.report.emotions, probabilities, uncertain);
    const label = `${clock(start_s)} to ${clock(end_s)}: ${found}`;
    const parts = this.report.emotions.map((emotion, i) => {
      const part = make("i", { class: `of-${emotion}` });
      part.style.height = `${100 * probabilities[i]}%`;
      return part;
    });
    const properties = {
      type: "button",
      class: uncertain ? "window unsure" : "window",
      title: label,
    };
    const box = make("button", { ...properties, "aria-label": `Play ${label}` }, ...parts);
    box.style.setProperty("--from", String(start_s));
    box.style.setProperty("--for", String(end_s - start_s));
    box.addEventListener("click", () => this.choose(estimate));
    return box;
  }

  /** Move between windows with the arrow keys. */
  private onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const now = this.boxes.indexOf(document.activeElement as HTMLElement);
    if (!step || now < 0) return;
    event.preventDefault();
    this.boxes[now + step]?.focus();
  }
}

function hole({ start, end }: Segment): HTMLElement {
  const [start_s, end_s] = [start / SAMPLE_RATE, end / SAMPLE_RATE];
  const title = `${clock(start_s)} to ${clock(end_s)}: no sound in the file`;
  const box = make("div", {
    class: "hole of-hole",
    role: "img",
    title,
    "aria-label": title,
  });
  box.style.setProperty("--from", String(start_s));
  box.style.setProperty("--for", String(end_s - start_s));
  return box;
}
