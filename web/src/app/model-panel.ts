/** Panel for the choice of the model and its backend. */

import { type Analyzer, type Backend, loadModel, ModelError } from "../espressivo";
import { fetched } from "../espressivo/fetching";
import { TIMEOUT_S, within } from "../espressivo/waits";
import { alarm, alarmOf } from "./alerts";
import { compared, type Verdict } from "./backend";
import { element, make, say } from "./elements";

const BACKEND = "espressivo.backend";
const FOLDER = "folder";
const LIMITS = { timeout_s: TIMEOUT_S };

/** Part of the WebGPU interface that shows whether it is available. */
type WithGpu = Navigator & { gpu?: { requestAdapter(): Promise<object | null> } };

interface Listed {
  readonly name: string;
  readonly version: string;
  readonly path: string;
}

export class ModelPanel {
  private readonly select = element<HTMLSelectElement>("model");
  private readonly webgpu = element<HTMLInputElement>("webgpu");
  private analyzer: Analyzer | null = null;
  private listed: Listed[] = [];
  private folder: readonly File[] | null = null;
  private loading: Promise<void> = Promise.resolve();

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
    this.select.addEventListener("change", () => void this.load());
    this.webgpu.addEventListener("change", () => void this.switch());
    void this.offerWebGpu();
  }

  /** Lock the choice of the model while an analysis runs. */
  hold(held: boolean): void {
    element<HTMLFieldSetElement>("model-controls").disabled = held;
  }

  /** List the available models and load the first. */
  async start(): Promise<void> {
    try {
      const failed = (reason: string) => new ModelError(`models/index.json: ${reason}`);
      const list = await fetched("models/index.json", LIMITS, failed);
      this.listed = JSON.parse(await list.text()).models;
    } catch (error) {
      this.use(null);
      const text = `${(error as Error).message}. Put the folder models/ beside the page, or use a model folder of your own.`;
      return alarm("No model was found", text, () => void this.start());
    }
    this.list(this.listed[0]?.path ?? FOLDER);
    await this.load();
  }

  /** Use a model folder of the user, which is not stored. */
  async take(files: readonly File[]): Promise<void> {
    const before = this.folder;
    const chosen = this.select.value;
    this.folder = files;
    this.list(FOLDER);
    if (await this.load()) return;
    this.folder = before;
    this.list(chosen);
  }

  private list(chosen: string): void {
    const options = this.listed.map(({ name, version, path }) =>
      make("option", { value: path }, `${name} ${version}`),
    );
    if (this.folder) options.push(make("option", { value: FOLDER }, "from a folder"));
    this.select.replaceChildren(...options);
    this.select.value = chosen;
  }

  /** Load the selected model; one load runs at a time. */
  private async load(): Promise<boolean> {
    const done = this.loading.then(() => this.loadNow());
    this.loading = done.then(() => undefined);
    return done;
  }

  private async loadNow(): Promise<boolean> {
    const backend: Backend = localStorage.getItem(BACKEND) === "webgpu" ? "webgpu" : "wasm";
    say("Loading the model…");
    this.use(null); // an analysis started now would end with the replaced model
    try {
      this.ready(await this.open(backend));
    } catch (error) {
      say("");
      if (backend === "webgpu") {
        localStorage.removeItem(BACKEND); // the stored choice no longer works: driver or browser changed
        this.webgpu.checked = false;
        return this.loadNow();
      }
      this.use(this.analyzer);
      const again = this.select.value === FOLDER ? null : () => void this.load();
      alarm("The model cannot be used", `${(error as Error).message}.`, again);
      return false;
    }
    return true;
  }

  private open(backend: Backend): Promise<Analyzer> {
    const source =
      this.select.value === FOLDER ? (this.folder ?? []) : `models/${this.select.value}`;
    return loadModel(source, { backend });
  }

  private ready(analyzer: Analyzer): void {
    this.analyzer?.close();
    this.analyzer = analyzer;
    const { card, backend } = analyzer;
    element("model-now").textContent = `${card.name} ${card.version}`;
    const facts: [string, string][] = [
      ["tells apart", card.emotions.join(", ")],
      [
        "computed by",
        backend === "webgpu"
          ? "the graphics processor (WebGPU)"
          : "the processor (WebAssembly)",
      ],
      ["sha256", `${card.sha256.slice(0, 16)}…, verified`],
      ["voice profiles", card.profileHead ? "yes" : "no"],
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

  private async offerWebGpu(): Promise<void> {
    const asked = (navigator as WithGpu).gpu?.requestAdapter() ?? Promise.resolve(null);
    const late = () => new Error("no answer about WebGPU");
    const adapter = await within(asked, LIMITS, late).catch(() => null);
    this.webgpu.disabled = !adapter;
    this.webgpu.checked = Boolean(adapter) && localStorage.getItem(BACKEND) === "webgpu";
    if (!adapter) this.note("This browser offers no graphics processor to pages (WebGPU).");
  }

  /** Compare the backends; switch to WebGPU only if it is faster and agrees. */
  private async switch(): Promise<void> {
    if (!this.webgpu.checked) {
      localStorage.removeItem(BACKEND);
      this.note("WebAssembly is used.");
      await this.load();
      return;
    }
    this.webgpu.disabled = true;
    this.use(null);
    this.note("Fetching the WebGPU runtime, and comparing…");
    let verdict: Verdict | null = null;
    try {
      const gpu = await this.open("webgpu");
      const plain = await this.open("wasm");
      verdict = await compared(gpu, plain);
      plain.close();
      if (verdict.use) {
        localStorage.setItem(BACKEND, "webgpu");
        this.ready(gpu);
      } else {
        gpu.close();
        this.use(this.analyzer);
      }
      this.note(verdict.text);
    } catch (error) {
      this.use(this.analyzer);
      this.note("WebGPU cannot run this model here; WebAssembly stays.");
      if ((error as Error).name !== "ModelError") alarmOf(error);
    }
    this.webgpu.checked = verdict?.use ?? false;
    this.webgpu.disabled = false;
  }

  private note(text: string): void {
    element("webgpu-note").textContent = text;
  }
}
