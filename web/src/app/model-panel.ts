/** Panel for the choice of the model. */

import { type Analyzer, loadModel, type ModelCard, ModelError } from "../espressivo";
import { fetched } from "../espressivo/fetching";
import { TIMEOUT_S } from "../espressivo/waits";
import { alarm, sentence } from "./alerts";
import { element, make, say, show } from "./elements";
import {
  bySize,
  firstModel,
  INDEX,
  type ListedModel,
  readIndex,
  titleOf,
} from "./model-index";
import { keep } from "./offline";
import { remember, storage } from "./storage";
import { megabytes, percent, promise } from "./words";

const CHOSEN = "espressivo.model";
const FOLDER = "folder/"; // no name of a model
const LIMITS = { timeout_s: TIMEOUT_S };
const SOON_MS = 300; // what is loaded sooner, as from the cache, shows no progress

/** Chromium alone tells whether the user asks pages to fetch little. */
type WithConnection = Navigator & { connection?: { saveData?: boolean } };

export class ModelPanel {
  private readonly select = element<HTMLSelectElement>("model");
  private analyzer: Analyzer | null = null;
  private listed: ListedModel[] = [];
  private folder: readonly File[] | null = null;
  private loading: Promise<void> = Promise.resolve();
  private stop = new AbortController();
  private loaded: string | null = null; // value of the selection that is in use

  /**
   * @param use Callback, called with every model that is ready, after the previous one
   *   was closed; with null while no model is ready.
   */
  constructor(private readonly use: (analyzer: Analyzer | null) => void) {
    const picker = element<HTMLInputElement>("folder");
    element("model-folder").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      const files = [...(picker.files ?? [])];
      picker.value = "";
      if (files.length) void this.take(files);
    });
    this.select.addEventListener("change", () => void this.choose(this.select.value));
  }

  /** Lock the choice of the model while an analysis runs. */
  hold(held: boolean): void {
    element<HTMLFieldSetElement>("model-controls").disabled = held;
  }

  /** List the available models; load the one chosen before, or the default. */
  async start(): Promise<void> {
    try {
      const failed = (reason: string) => new ModelError(`${INDEX}: ${reason}`);
      this.listed = readIndex(await (await fetched(INDEX, LIMITS, failed)).text());
    } catch (error) {
      this.use(null);
      const text = `${(error as Error).message}. Put the folder models/ beside the page, or use a model folder of your own.`;
      return alarm("No model was found", text, () => void this.start());
    }
    const saves = (navigator as WithConnection).connection?.saveData ?? false;
    this.list(firstModel(this.listed, storage.getItem(CHOSEN), saves).name);
    await this.load();
  }

  /** Load a model, and remember it if that succeeds. */
  private async choose(model: string): Promise<void> {
    this.select.value = model;
    if ((await this.load()) && model !== FOLDER) remember(CHOSEN, model);
  }

  /** Use a model folder of the user, which is not stored. */
  async take(files: readonly File[]): Promise<void> {
    const before = this.folder;
    const chosen = this.select.value;
    this.folder = files;
    this.list(FOLDER);
    if (await this.load()) return;
    this.folder = before;
    const now = this.select.value; // another one, if it was chosen meanwhile
    this.list(now === FOLDER ? chosen : now);
  }

  private list(chosen: string): void {
    const options = bySize(this.listed).map((model) =>
      make("option", { value: model.name }, titleOf(model)),
    );
    if (this.folder) options.push(make("option", { value: FOLDER }, "from a folder"));
    this.select.replaceChildren(...options);
    this.select.value = chosen;
  }

  /** Load the selected model; another one that is being loaded is given up. */
  private async load(): Promise<boolean> {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    const done = this.loading.then(() => this.loadNow(signal));
    this.loading = done.then(() => undefined);
    return done;
  }

  private async loadNow(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    const model = this.select.value;
    const bytes = this.bytesOf(model);
    say(bytes ? `Loading ${model}, ${megabytes(bytes)}…` : "Loading the model…");
    this.use(null); // an analysis started now would end with the replaced model
    const late = setTimeout(() => show("loading", true), SOON_MS);
    try {
      const analyzer = await this.open();
      if (signal.aborted) {
        analyzer.close();
        return false;
      }
      this.ready(analyzer, model);
    } catch (error) {
      say("");
      if (signal.aborted) return false;
      if (this.loaded !== null) this.select.value = this.loaded;
      this.use(this.analyzer);
      const again = model === FOLDER ? null : () => void this.choose(model);
      alarm("The model cannot be used", sentence((error as Error).message), again);
      return false;
    } finally {
      clearTimeout(late);
      show("loading", false);
    }
    return true;
  }

  private open(): Promise<Analyzer> {
    const model = this.select.value;
    const source = model === FOLDER ? (this.folder ?? []) : `models/${model}`;
    const { signal } = this.stop;
    return loadModel(source, { signal, onProgress: progressOf(this.bytesOf(model)) });
  }

  private bytesOf(model: string): number | null {
    return this.listed.find(({ name }) => name === model)?.bytes ?? null;
  }

  private ready(analyzer: Analyzer, model: string): void {
    this.analyzer?.close();
    this.analyzer = analyzer;
    this.loaded = model;
    void keep(model === FOLDER ? null : model);
    const { card } = analyzer;
    const { certainty } = card;
    element("model-now").textContent = `${card.name} ${card.version}`;
    const facts: [string, string][] = [
      ["tells apart", card.emotions.join(", ")],
      ["sha256", `${card.sha256.slice(0, 16)}…, verified`],
      ["adapts to voices", card.adaptation ? "yes" : "no"],
      ["is sure", certainty ? sureness(card) : "it never says so: it has no threshold"],
      ["may be used for", card.allowedUse || "its card does not say"],
    ];
    const rows = facts.flatMap(([name, text]) => [
      make("dt", {}, name),
      make("dd", {}, text),
    ]);
    element("model-facts").replaceChildren(...rows);
    this.use(analyzer);
    say("Ready.");
  }
}

/** Say when a model is sure, how often that is, and how often it was then right. */
function sureness({ certainty, details }: ModelCard): string {
  if (!certainty) return "";
  const { coverage } = details["certainty"] as { coverage?: unknown };
  const how =
    typeof coverage === "number" ? `, as in ${percent(coverage)} of the clips` : "";
  return `where an emotion reaches ${percent(certainty.threshold)}${how}: then ${promise(certainty)}`;
}

/** Return a callback that sets the progress to the share that has arrived. */
function progressOf(bytes: number | null): (received_bytes: number) => void {
  const bar = element<HTMLProgressElement>("loading");
  bar.removeAttribute("value");
  return (received_bytes) => {
    if (bytes !== null) bar.value = Math.min(1, received_bytes / bytes);
  };
}
