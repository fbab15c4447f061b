/** Panel of a voice's results over days: chart, table, export and deletion. */

import type { Report } from "../espressivo";
import { download } from "./download";
import { element, make, say, show } from "./elements";
import { drawDays } from "./history-chart";
import { attempt } from "./profile-choice";
import { storage } from "./storage";
import * as history from "./voice-history";
import { inWords } from "./words";

const WANTED = "espressivo.history/";

export class HistoryPanel {
  private readonly wanted = element<HTMLInputElement>("keep-history");
  private name: string | null = null;
  private results: readonly history.Result[] = [];

  constructor() {
    this.wanted.addEventListener("change", () => void attempt(() => this.want()));
    const save = (id: string, kind: string, text: () => string, type: string) =>
      element(id).addEventListener("click", () =>
        download(text(), `${this.name} over days.${kind}`, type),
      );
    save("history-csv", "csv", () => history.toCsv(this.results), "text/csv");
    save("history-json", "json", () => history.toJson(this.results), "application/json");
    new ResizeObserver(() => this.draw()).observe(element("history-chart"));
    element("history-delete").addEventListener(
      "click",
      () => void attempt(() => this.deleteAll()),
    );
  }

  /** Show the results of a profile; null for none. */
  async use(name: string | null): Promise<void> {
    this.name = name;
    this.wanted.disabled = name === null;
    this.wanted.checked = name !== null && storage.getItem(WANTED + name) === "true";
    await this.refresh();
  }

  /** Keep the numbers of a report, if that is wanted and the voice fits the profile. */
  async add(report: Report, when: Date): Promise<void> {
    const speaker = report.adaptation?.speaker;
    if (!speaker || report.fits === false) return;
    if (storage.getItem(WANTED + speaker) !== "true") return;
    const result = history.resultOf(speaker, report, when);
    if (!result) return;
    await history.keep(result);
    await this.refresh();
  }

  /** Delete what is kept of a profile that is deleted itself. */
  async drop(name: string): Promise<void> {
    storage.removeItem(WANTED + name);
    await history.forgetAll(name).catch(() => undefined); // where storage is refused
  }

  private async want(): Promise<void> {
    const { name, wanted } = this;
    if (name === null) return;
    if (!wanted.checked) {
      storage.removeItem(WANTED + name);
      return;
    }
    try {
      await history.resultsOf(name); // fails where the browser keeps nothing
      storage.setItem(WANTED + name, "true");
    } catch (error) {
      wanted.checked = false;
      throw error;
    }
  }

  private async refresh(): Promise<void> {
    const { name } = this;
    const results = name === null ? [] : await history.resultsOf(name).catch(() => []);
    if (name !== this.name) return; // another one was chosen meanwhile
    this.results = results;
    show("history", results.length > 0);
    this.draw();
    element("history-count").textContent = `Every result (${results.length})`;
    element("history-rows").replaceChildren(...[...results].reverse().map(this.rowOf));
  }

  private draw(): void {
    drawDays(element("history-chart"), history.byDays(this.results));
  }

  private readonly rowOf = (result: history.Result): HTMLElement => {
    const { id, name, probabilities, uncertain, dimensions } = result;
    const date = new Date(result.date).toLocaleString("sv-SE").slice(0, 16);
    const label = `Delete ${name}, ${date}`;
    const remove = make("button", { type: "button", "aria-label": label }, "×");
    remove.addEventListener(
      "click",
      () =>
        void attempt(async () => {
          await history.forget(id);
          await this.refresh();
          this.focus();
          say(`Deleted: ${name}, ${date}.`);
        }),
    );
    const arousal = dimensions?.arousal;
    return make(
      "tr",
      {},
      make("td", {}, date),
      make("td", { class: "word" }, name),
      make("td", { class: "word" }, inWords(probabilities, uncertain)),
      make("td", {}, arousal === undefined ? "" : arousal.toFixed(2)),
      make("td", {}, remove),
    );
  };

  private async deleteAll(): Promise<void> {
    const { name } = this;
    if (name === null) return;
    if (!confirm(`Delete all results of ${name}? There is no way back.`)) return;
    await history.forgetAll(name);
    await this.refresh();
    this.focus();
    say(`Deleted: all results of ${name}.`);
  }

  /** Move the focus from a button that is gone to what is left. */
  private focus(): void {
    element(this.results.length ? "history-count" : "keep-history").focus();
  }
}
