/** Entry point of the page: its states and the actions of its buttons. */

import { type Analyzer, type Report, VERSION } from "../espressivo";
import { alarm, alarmOf, calm } from "./alerts";
import { onDrop } from "./dropping";
import { element, say, show } from "./elements";
import { ModelPanel } from "./model-panel";
import { register } from "./offline";
import { Recorder } from "./recorder";
import { hideReport, showReport } from "./result";
import { Strip } from "./strip";
import { VoicePanel } from "./voice-panel";
import { clock, percent } from "./words";

type State = "start" | "live" | "working" | "result";

let analyzer: Analyzer | null = null;
let state: State = "start";
let recorder: Recorder | null = null;
let work: AbortController | null = null;

const voice = new VoicePanel();
const models = new ModelPanel((ready) => {
  analyzer = ready;
  for (const id of ["record", "choose"]) element<HTMLButtonElement>(id).disabled = !ready;
  if (!ready) return;
  voice.use(ready);
  document.documentElement.dataset["ready"] = "true";
});

function go(to: State): void {
  state = to;
  for (const each of ["start", "live", "working"]) show(each, each === to);
  models.hold(to === "live" || to === "working");
  if (to !== "result") hideReport();
}

/** Analyse a selected or dropped file. */
async function open(file: File): Promise<void> {
  if (!analyzer || state === "live" || state === "working") return;
  calm();
  go("working");
  work = new AbortController();
  element("working-name").textContent = file.name;
  element("progress-text").textContent = "Reading…";
  const bar = element<HTMLProgressElement>("progress");
  bar.removeAttribute("value");
  const strip = new Strip(element("working-timeline"), analyzer);
  say(`Analysing ${file.name}…`);
  try {
    const report = await analyzer.analyze(file, {
      name: file.name,
      ...(await voice.options()),
      signal: work.signal,
      onProgress: ({ estimates, duration_s }, total_s) => {
        if (work?.signal.aborted) return;
        strip.add(estimates, null, duration_s, total_s);
        if (total_s) bar.value = Math.min(1, duration_s / total_s);
        element("progress-text").textContent = total_s
          ? `${clock(duration_s)} of ${clock(total_s)}, ${percent(Math.min(1, duration_s / total_s))}`
          : `${clock(duration_s)} so far`;
      },
    });
    go("result");
    showReport(report, file, { recorded: false, learned: await learned(report) });
  } catch (error) {
    go("start");
    say((error as Error).name === "AbortError" ? "Cancelled; nothing was kept." : "");
    alarmOf(error);
  }
}

/** Update the profile; if that fails, the report is shown nevertheless. */
async function learned(report: Report): Promise<boolean> {
  try {
    return await voice.learnFrom(report);
  } catch (error) {
    alarmOf(error);
    return false;
  }
}

async function record(): Promise<void> {
  if (!analyzer || state === "live" || state === "working") return;
  calm();
  const button = element<HTMLButtonElement>("record");
  button.disabled = true; // while the browser asks for permission
  try {
    const name = `recording ${new Date().toLocaleString("sv-SE").replaceAll(":", ".")}`;
    const options = { ...(await voice.options()), name };
    recorder = await Recorder.start(
      analyzer,
      options,
      () => void stop(),
      (error) => {
        void discard();
        alarmOf(error);
      },
    );
    go("live");
    element("stop").focus();
  } catch (error) {
    go("start");
    alarmOf(error);
  } finally {
    button.disabled = false;
  }
}

async function stop(): Promise<void> {
  const ending = recorder;
  recorder = null;
  if (!ending) return;
  say("Analysing the rest…");
  try {
    const { report, sound } = await ending.stop();
    go("result");
    showReport(report, sound, { recorded: true, learned: await learned(report) });
  } catch (error) {
    go("start");
    alarmOf(error);
  }
}

async function discard(): Promise<void> {
  const ending = recorder;
  recorder = null;
  await ending?.discard();
  go("start");
  say("Discarded; nothing was kept.");
}

const picker = element<HTMLInputElement>("file");
element("choose").addEventListener("click", () => picker.click());
picker.addEventListener("change", () => {
  const [file] = picker.files ?? [];
  picker.value = ""; // otherwise the same file cannot be selected again
  if (file) void open(file);
});
element("record").addEventListener("click", () => void record());
element("stop").addEventListener("click", () => void stop());
element("discard").addEventListener("click", () => void discard());
element("cancel").addEventListener("click", () => work?.abort());
element("again").addEventListener("click", () => {
  go("start");
  say("Ready.");
  element("record").focus();
});
onDrop((files, isFolder) => {
  if (state === "live" || state === "working") return;
  const isModel = isFolder || files.some(({ name }) => name === "model.json");
  if (isModel) void models.take(files);
  else if (files[0]) void open(files[0]);
});
addEventListener("beforeunload", (event) => {
  if (state === "live") event.preventDefault();
});

element("version").textContent = VERSION;
await models.start();
register();
addEventListener("unhandledrejection", ({ reason }) => {
  if ((reason as Error)?.name !== "AbortError")
    alarm("Something went wrong", String(reason));
});
