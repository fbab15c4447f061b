/** The whole recording at a glance: loudness, windows and arousal, zoomed and played from anywhere. */

import { type Estimate, type Report, SAMPLE_RATE } from "../espressivo";
import { drawReport, heightOf, heightsOf } from "./drawing";
import { legendOf, make } from "./elements";
import { onGestures } from "./gestures";
import { Minimap } from "./minimap";
import { paletteOf, penOf, Scale } from "./scale";
import { clock, inWords } from "./words";

const SHORTEST_S = 10; // the closest view

interface Options {
  /** Play from a time; without it a click selects only. */
  readonly onSeek?: (at_s: number) => void;
  /** Length of the time axis: for two recordings side by side, the longer one's duration. */
  readonly length_s?: number;
  /** Heading, put beside the buttons. */
  readonly title?: HTMLElement;
}

/** What a window sounded like, and when, as text. */
export function windowInWords(report: Report, estimate: Estimate): string {
  const { start, end } = estimate.segment;
  const uncertain = report.isUncertain(estimate);
  const found = inWords(estimate.probabilities, uncertain);
  const level = estimate.dimensions?.arousal;
  const arousal = level === undefined ? "" : `; arousal ${level.toFixed(2)}`;
  const when = `${clock(start / SAMPLE_RATE)} to ${clock(end / SAMPLE_RATE)}`;
  return `${when}: ${found}${arousal}`;
}

export class Overview {
  /** Called with a window that was selected; -1 for none. */
  onSelect: ((i: number) => void) | null = null;

  private readonly canvas = make("canvas", { "aria-hidden": "true" });
  private readonly frame = make("div", { class: "chosen" });
  private readonly head = make("div", { class: "playhead" });
  private readonly plot = make(
    "div",
    { class: "plot" },
    this.canvas,
    this.frame,
    this.head,
  );
  private readonly map: Minimap;
  private readonly tools = make("div", { class: "tools" });
  private readonly buttons: Record<"out" | "in" | "all", HTMLButtonElement>;
  private readonly readout = make("p", { class: "readout" });
  private readonly heights: Float32Array | null;
  private readonly end_s: number;
  private readonly observer = new ResizeObserver(() => this.draw());
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw();
  private from_s = 0;
  private to_s: number;
  private chosen = -1;
  private played = -1; // window
  private played_s: number | null = null;
  private isHovered = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly report: Report,
    private readonly options: Options = {},
  ) {
    this.heights = heightsOf(report.loudness);
    this.end_s = Math.max(options.length_s ?? report.duration_s, 1);
    this.to_s = this.end_s;
    this.map = new Minimap(report, this.end_s, (middle_s) => {
      const half = (this.to_s - this.from_s) / 2;
      this.show(middle_s - half, middle_s + half);
    });
    if (options.title) this.tools.append(options.title);
    this.buttons = {
      out: this.tool("−", "Zoom out", () => this.zoom(2)),
      in: this.tool("+", "Zoom in", () => this.zoom(0.5)),
      all: this.tool("Whole", "Show the whole recording", () => this.show(0, this.end_s)),
    };
    for (const button of Object.values(this.buttons))
      button.hidden = this.end_s <= SHORTEST_S;
    this.describe();
    this.listen();
    host.classList.add("overview");
    const { tools, plot, map, readout } = this;
    host.replaceChildren(tools, plot, map.place, readout, this.legend());
    this.select(-1);
    this.observer.observe(this.plot);
    this.dark.addEventListener("change", this.redraw);
  }

  /** Show the playback position and its window; null for none. A view that it leaves follows. */
  playhead(at_s: number | null): void {
    const before_s = this.played_s;
    this.played_s = at_s;
    const wasSeen = before_s !== null && before_s >= this.from_s && before_s <= this.to_s;
    if (at_s !== null && (wasSeen || before_s === null)) this.follow(at_s);
    this.placeHead();
    const window = at_s === null ? -1 : this.windowAt(at_s);
    if (window === this.played) return;
    this.played = window;
    if (!this.isHovered && window >= 0) this.select(window);
  }

  /** Select a window and bring it into view. */
  reveal(i: number): void {
    const { start, end } = this.report.estimates[i].segment;
    const [start_s, end_s] = [start / SAMPLE_RATE, end / SAMPLE_RATE];
    const half = (this.to_s - this.from_s) / 2;
    const middle = (start_s + end_s) / 2;
    if (start_s < this.from_s || end_s > this.to_s) this.show(middle - half, middle + half);
    this.select(i);
  }

  /** Show a part of the recording. */
  show(from_s: number, to_s: number): void {
    const shown = Math.min(this.end_s, to_s - from_s);
    this.from_s = Math.min(Math.max(0, from_s), this.end_s - shown);
    this.to_s = this.from_s + shown;
    this.draw();
  }

  /** Let go of the page. */
  destroy(): void {
    this.observer.disconnect();
    this.dark.removeEventListener("change", this.redraw);
    this.host.replaceChildren();
  }

  private tool(text: string, label: string, action: () => void): HTMLButtonElement {
    const button = make(
      "button",
      { type: "button", title: label, "aria-label": label },
      text,
    );
    button.addEventListener("click", action);
    this.tools.append(button);
    return button;
  }

  private describe(): void {
    const { estimates, duration_s } = this.report;
    const n = estimates.length;
    const state = n
      ? {
          role: "slider",
          tabindex: "0",
          "aria-label":
            "Windows of the recording: the arrow keys choose one, Enter plays from it, plus and minus zoom",
          "aria-valuemin": "1",
          "aria-valuemax": String(n),
        }
      : {
          role: "img",
          "aria-label": `Loudness of the recording, ${clock(duration_s)}, without speech`,
        };
    for (const [name, value] of Object.entries(state)) this.plot.setAttribute(name, value);
  }

  private listen(): void {
    onGestures(this.plot, {
      timeAt: (x) => this.timeAt(x),
      isZoomed: () => this.isZoomed,
      zoom: (factor, around_s) => this.zoom(factor, around_s),
      pan: (by_s) => this.show(this.from_s + by_s, this.to_s + by_s),
      tap: (at_s) => {
        if (at_s > this.report.duration_s) return;
        this.select(this.windowAt(at_s), at_s);
        this.options.onSeek?.(at_s);
      },
      hover: (at_s) => {
        this.isHovered = at_s !== null;
        if (at_s !== null) this.select(this.windowAt(at_s), at_s);
      },
    });
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
  }

  private onKey(event: KeyboardEvent): void {
    const last = this.report.estimates.length - 1;
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const far = { PageUp: 10, PageDown: -10, Home: -last, End: last }[event.key];
    const factor = { "+": 0.5, "=": 0.5, "-": 2, "0": Number.POSITIVE_INFINITY }[event.key];
    const isPlay = event.key === "Enter" || event.key === " ";
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = by ?? far;
    if (step) this.reveal(Math.min(last, Math.max(0, this.chosen + step)));
    else if (factor) this.zoom(factor);
    else if (isPlay) {
      const at = this.report.estimates[Math.max(0, this.chosen)].segment.start;
      this.options.onSeek?.(at / SAMPLE_RATE);
    } else return;
    event.preventDefault();
  }

  private get isZoomed(): boolean {
    return this.to_s - this.from_s < this.end_s - 1e-6;
  }

  private get shortest_s(): number {
    return Math.min(SHORTEST_S, this.end_s);
  }

  private timeAt(clientX: number): number {
    const { left, width } = this.plot.getBoundingClientRect();
    const at = this.from_s + ((this.to_s - this.from_s) * (clientX - left)) / width;
    return Math.min(this.end_s, Math.max(0, at));
  }

  private windowAt(at_s: number): number {
    const at = at_s * SAMPLE_RATE;
    return this.report.estimates.findIndex(
      ({ segment }) => segment.start <= at && at < segment.end,
    );
  }

  private zoom(factor: number, around_s = this.middle()): void {
    const before = this.to_s - this.from_s;
    const share = (around_s - this.from_s) / before;
    const shown = Math.min(this.end_s, Math.max(this.shortest_s, before * factor));
    this.show(around_s - share * shown, around_s + (1 - share) * shown);
  }

  /** Return where to zoom: what is played or selected if it is visible, or the middle. */
  private middle(): number {
    const segment = this.report.estimates[this.chosen]?.segment;
    const chosen_s = segment && (segment.start + segment.end) / 2 / SAMPLE_RATE;
    const isSeen = (at_s: number) => at_s > this.from_s && at_s < this.to_s;
    return (
      [this.played_s, chosen_s].find((at_s) => at_s != null && isSeen(at_s)) ??
      (this.from_s + this.to_s) / 2
    );
  }

  private follow(at_s: number): void {
    if (at_s >= this.from_s && at_s <= this.to_s) return;
    const shown = this.to_s - this.from_s;
    this.show(at_s - 0.1 * shown, at_s + 0.9 * shown);
  }

  private select(i: number, at_s: number | null = null): void {
    const { report, plot } = this;
    const estimate = report.estimates[i];
    const isTouched = matchMedia("(pointer: coarse)").matches;
    const hint = this.options.onSeek
      ? isTouched
        ? "Tap to play from there; two fingers zoom."
        : "Click to play from there; the arrow keys go from window to window."
      : "Choose a window to see its numbers here.";
    const text = estimate
      ? windowInWords(report, estimate)
      : at_s === null
        ? hint
        : `${clock(at_s)}: no speech`;
    this.readout.replaceChildren(...(estimate ? [this.swatch(estimate)] : []), text);
    if (report.estimates.length) {
      plot.setAttribute("aria-valuenow", String(Math.max(1, i + 1)));
      plot.setAttribute("aria-valuetext", estimate ? text : "none chosen");
    }
    if (i === this.chosen) return;
    this.chosen = i;
    this.placeFrame();
    this.onSelect?.(i);
  }

  private swatch(estimate: Estimate): HTMLElement {
    const kind = `swatch of-${estimate.emotion}`;
    const unsure = this.report.isUncertain(estimate) ? " unsure" : "";
    return make("span", { class: kind + unsure, "aria-hidden": "true" });
  }

  private legend(): HTMLElement {
    const { report } = this;
    const hasWindows = report.estimates.length > 0;
    const patterns = {
      ...(report.certainty && hasWindows && { unsure: "striped and pale: not sure" }),
      pause: "no speech",
      ...(report.gaps.length && { hole: "no sound in the file" }),
    };
    const legend = legendOf(hasWindows ? report.emotions : [], patterns);
    if (this.heights) legend.append(make("span", {}, "height: loudness"));
    return legend;
  }

  private draw(): void {
    const pen = penOf(this.canvas, heightOf(this.report));
    if (!pen) return;
    const palette = paletteOf(this.plot);
    const scale = new Scale(this.from_s, this.to_s, 0, this.canvas.clientWidth);
    drawReport(pen, this.report, this.heights, scale, palette);
    this.plot.classList.toggle("zoomed", this.isZoomed);
    this.buttons.out.disabled = this.buttons.all.disabled = !this.isZoomed;
    this.buttons.in.disabled = this.to_s - this.from_s <= this.shortest_s + 1e-6;
    this.placeHead();
    this.placeFrame();
    this.map.draw(this.from_s, this.to_s, palette);
  }

  private percentOf(at_s: number): number {
    return (100 * (at_s - this.from_s)) / (this.to_s - this.from_s);
  }

  // Playhead and frame are elements, so that they move without a new drawing.
  private placeHead(): void {
    const at = this.played_s === null ? -1 : this.percentOf(this.played_s);
    this.head.hidden = at < 0 || at > 100;
    this.head.style.left = `${at}%`;
  }

  private placeFrame(): void {
    const segment = this.report.estimates[this.chosen]?.segment;
    const left = segment ? Math.max(0, this.percentOf(segment.start / SAMPLE_RATE)) : 0;
    const right = segment ? Math.min(100, this.percentOf(segment.end / SAMPLE_RATE)) : 0;
    this.frame.hidden = right <= left;
    this.frame.style.left = `${left}%`;
    this.frame.style.width = `${right - left}%`;
  }
}
