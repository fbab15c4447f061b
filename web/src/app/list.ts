/** List of the recordings of this visit: their states and results, and which to compare. */

import { element, make, show } from "./elements";
import { type Item, isPending, type Queue } from "./queue";
import { inWords, length, percent } from "./words";

interface Row {
  readonly line: HTMLLIElement;
  readonly pick: HTMLInputElement;
  readonly text: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly end: HTMLButtonElement;
}

export interface ListActions {
  /** Show the result of one recording. */
  open(item: Item): void;
  compare(one: Item, other: Item): void;
  /** Go on after the last one was removed. */
  emptied(): void;
}

export class RecordingList {
  private readonly rows = new Map<Item, Row>();
  private readonly place = element("list-rows");
  private readonly button = element<HTMLButtonElement>("compare-picked");

  constructor(
    private readonly queue: Queue,
    private readonly actions: ListActions,
  ) {
    this.button.addEventListener("click", () => {
      const [one, other] = this.picked;
      if (one && other) actions.compare(one, other);
    });
    element("cancel-all").addEventListener("click", () => {
      queue.cancelAll();
      element("list-title").focus(); // the button is gone
    });
    element("clear").addEventListener("click", () => {
      for (const item of [...queue.items]) this.remove(item);
    });
  }

  /** Update the row of a recording, and what is said of all. */
  update(item: Item): void {
    if (!this.queue.items.includes(item)) {
      this.rows.get(item)?.line.remove();
      this.rows.delete(item);
    } else {
      const row = this.rows.get(item) ?? this.add(item);
      const { name, state } = item;
      row.line.dataset["state"] = state;
      row.text.replaceWith(this.textOf(item));
      row.pick.hidden = state !== "done";
      if (state !== "done") row.pick.checked = false;
      row.bar.hidden = state !== "working";
      row.end.setAttribute(
        "aria-label",
        `${isPending(item) ? "Cancel" : "Remove"} ${name}`,
      );
      this.rows.set(item, {
        ...row,
        text: row.line.querySelector(".row-text") as HTMLElement,
      });
    }
    this.count();
  }

  /** Show how much of a recording is analysed. */
  progress(item: Item): void {
    const row = this.rows.get(item);
    if (!row) return;
    if (item.progress !== null) row.bar.value = item.progress;
    const share = item.progress === null ? "" : `, ${percent(item.progress)}`;
    const said = row.text.querySelector(".row-result");
    if (said && item.state === "working") said.textContent = `Analysing${share}`;
  }

  /** Pick one recording, to which another is to be added. */
  pickFirst(item: Item): void {
    for (const [each, { pick }] of this.rows) pick.checked = each === item;
    this.count();
  }

  private get picked(): Item[] {
    return this.queue.items.filter((item) => this.rows.get(item)?.pick.checked);
  }

  private add(item: Item): Row {
    const { name } = item;
    const pick = make("input", { type: "checkbox", "aria-label": `Compare ${name}` });
    pick.addEventListener("change", () => this.count());
    const text = make("div", { class: "row-text" });
    const bar = make("progress", { max: "1", "aria-label": `Progress of ${name}` });
    const end = make("button", { type: "button", class: "row-end" }, "×");
    end.addEventListener("click", () => {
      if (isPending(item)) this.queue.cancel(item);
      else {
        element("list-title").focus(); // the button goes
        this.remove(item);
      }
    });
    const line = make("li", { class: "row" }, pick, text, bar, end);
    this.place.append(line);
    return { line, pick, text, bar, end };
  }

  private remove(item: Item): void {
    this.queue.remove(item);
    this.update(item);
    if (this.queue.items.length === 0) this.actions.emptied();
  }

  private textOf(item: Item): HTMLElement {
    const words = [
      make("span", { class: "row-name" }, item.name),
      make("span", { class: "row-result fine" }, saidOf(item)),
    ];
    if (!item.found) return make("div", { class: "row-text" }, ...words);
    const open = make("button", { type: "button", class: "row-text" }, ...words);
    open.addEventListener("click", () => this.actions.open(item));
    return open;
  }

  private count(): void {
    const { items, busy } = this.queue;
    const ended = items.filter((item) => !isPending(item)).length;
    const failed = items.filter(({ state }) => state === "failed").length;
    element("list-count").textContent =
      `${ended - failed} of ${items.length} analysed${failed ? `, ${failed} failed` : ""}`;
    const { length: n } = this.picked;
    this.button.disabled = n !== 2;
    const done = items.filter(({ state }) => state === "done").length;
    show("compare-picked", done > 1);
    show("list-note", done > 1 || n === 1);
    element("list-note").textContent =
      n === 1
        ? "Tick the other one to compare, or add files."
        : "Tick two to compare them.";
    show("cancel-all", busy);
    show("clear", !busy);
  }
}

/** Return the state of a recording in a few words; its result if it is analysed. */
export function saidOf({ name, state, found, error }: Item): string {
  if (found) {
    const { probabilities, uncertain, duration_s } = found.report;
    return probabilities
      ? `${inWords(probabilities, uncertain)}; ${length(duration_s)}`
      : `no speech in ${length(duration_s)}`;
  }
  if (state === "failed") {
    const { message } = error as Error;
    return `Failed: ${message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message}`;
  }
  return { waiting: "Waiting", working: "Analysing", cancelled: "Cancelled", done: "" }[
    state
  ];
}
