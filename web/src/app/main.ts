/** Entry point of the page: its states and the actions of its buttons. */

import { type Analyzer, type Report, VERSION } from "../espressivo";
import { alarm, alarmOf, calm } from "./alerts";
import { hideComparison, showComparison } from "./compare";
import { onDrop } from "./dropping";
import { announce, element, say, show } from "./elements";
import { RecordingList } from "./list";
import { ModelPanel } from "./model-panel";
import { register } from "./offline";
import { type Found, type Item, isPending, Queue } from "./queue";
import { Recorder } from "./recorder";
import { hideReport, showReport } from "./result";
import { connectSaving } from "./saving";
import { Strip } from "./strip";
import { VoicePanel } from "./voice-panel";
import { clock, percent } from "./words";

type State = "start" | "list" | "live" | "working" | "result" | "compare";

let analyzer: Analyzer | null = null;
let state: State = "start";
let recorder: Recorder | null = null;
let watched: Item | null = null; // of which the progress or the result is shown

const voice = new VoicePanel();
const queue = new Queue(analyse, changed);
const list = new RecordingList(queue, {
  open: (item) => {
    calm();
    showItem(item);
  },
  compare,
  emptied: () => {
    go("start");
    say("The list is empty; nothing was kept.");
    element("choose").focus();
  },
});
const models = new ModelPanel((ready) => {
  analyzer = ready;
  enable();
  if (!ready) return;
  voice.use(ready);
  document.documentElement.dataset["ready"] = "true";
});

function go(to: State): void {
  state = to;
  document.documentElement.dataset["state"] = to;
  for (const each of ["start", "live", "working"]) show(each, each === to);
  const listed = to === "list" || to === "start";
  show("list", listed && queue.items.length > 0);
  if (to !== "result") hideReport();
  if (to !== "compare") hideComparison();
  enable();
}

/** Enable what can be done now: one model does one thing at a time. */
function enable(): void {
  const { busy } = queue;
  models.hold(state === "live" || busy);
  element<HTMLButtonElement>("record").disabled = !analyzer || busy;
  for (const id of ["choose", "add"]) element<HTMLButtonElement>(id).disabled = !analyzer;
}

/** Analyse files: one in sight, several in a list. */
function open(files: readonly File[]): void {
  if (!analyzer || state === "live" || files.length === 0) return;
  calm();
  const alone = files.length === 1 && !queue.busy && state !== "list";
  const [first] = queue.add(files);
  watched = alone ? first : null;
  if (!alone) {
    go("list");
    say("");
    element("list-title").focus();
    return;
  }
  go("working");
  say(`Analysing ${first.name}…`);
}

/** Analyse one recording of the queue. */
async function analyse(item: Item, signal: AbortSignal): Promise<Found> {
  if (!analyzer) throw new Error("the model is not loaded");
  const { name, sound } = item;
  element("working-name").textContent = name;
  element("progress-text").textContent = "Reading…";
  const bar = element<HTMLProgressElement>("progress");
  bar.removeAttribute("value");
  const strip = new Strip(element("working-timeline"), analyzer);
  const report = await analyzer.analyze(sound, {
    name,
    ...(await voice.options()),
    signal,
    onProgress: ({ estimates, duration_s }, total_s) => {
      if (signal.aborted) return;
      item.progress = total_s ? Math.min(1, duration_s / total_s) : null;
      list.progress(item);
      if (item !== watched) return;
      strip.add(estimates, null, duration_s, total_s);
      if (item.progress !== null) bar.value = item.progress;
      element("progress-text").textContent =
        total_s && item.progress !== null
          ? `${clock(duration_s)} of ${clock(total_s)}, ${percent(item.progress)}`
          : `${clock(duration_s)} so far`;
    },
  });
  const when = sound instanceof File ? new Date(sound.lastModified) : new Date();
  return { report, learned: await learned(report, when) };
}

/** Show what has become of a recording. */
function changed(item: Item): void {
  const inSight = item === watched && state === "working";
  // What was cancelled or failed in sight has been said, and is not listed.
  if (inSight && (item.state === "cancelled" || item.state === "failed")) {
    watched = null;
    queue.remove(item);
    go("start");
    element("choose").focus();
    if (item.state === "failed") alarmOf(item.error);
    else say("Cancelled; nothing was kept.");
  }
  list.update(item);
  enable();
  if (inSight && item.state === "done") showItem(item);
  else if (!isPending(item) && state === "list" && !queue.busy)
    announce(`Finished: ${element("list-count").textContent}.`);
}

function showItem(item: Item): void {
  if (!item.found) return;
  watched = item;
  go("result"); // an alert stays: that the profile could not be updated, say
  show("to-list", queue.items.length > 1);
  const { report, learned } = item.found;
  showReport(report, item.sound, { recorded: item.recorded, learned });
}

function compare(one: Item, other: Item): void {
  calm();
  go("compare");
  showComparison(one, other);
  say("");
}

function toList(): void {
  go("list");
  say("");
  element("list-title").focus();
}

/** Update the profile; if that fails, the report is shown nevertheless. */
async function learned(report: Report, when: Date): Promise<boolean> {
  try {
    return await voice.learnFrom(report, when);
  } catch (error) {
    alarmOf(error);
    return false;
  }
}

async function record(): Promise<void> {
  if (!analyzer || state === "live" || queue.busy) return;
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
    enable();
  }
}

async function stop(): Promise<void> {
  const ending = recorder;
  recorder = null;
  if (!ending) return;
  say("Analysing the rest…");
  try {
    const { report, sound } = await ending.stop();
    const found = { report, learned: await learned(report, new Date()) };
    showItem(queue.addRecorded(sound, found));
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
for (const id of ["choose", "add"])
  element(id).addEventListener("click", () => picker.click());
picker.addEventListener("change", () => {
  const files = [...(picker.files ?? [])];
  picker.value = ""; // otherwise the same file cannot be selected again
  open(files);
});
element("record").addEventListener("click", () => void record());
element("stop").addEventListener("click", () => void stop());
element("discard").addEventListener("click", () => void discard());
element("cancel").addEventListener("click", () => watched && queue.cancel(watched));
element("again").addEventListener("click", () => {
  go("start");
  say("Ready.");
  element(queue.busy ? "choose" : "record").focus();
});
for (const id of ["to-list", "compare-back"]) element(id).addEventListener("click", toList);
element("compare-with").addEventListener("click", () => {
  const first = watched;
  toList();
  if (first) list.pickFirst(first);
});
onDrop((files, isFolder) => {
  const isModel = isFolder || files.some(({ name }) => name === "model.json");
  if (!isModel) open(files);
  else if (state !== "live" && !queue.busy) void models.take(files);
});
addEventListener("beforeunload", (event) => {
  if (state === "live") event.preventDefault();
});

connectSaving();
element("version").textContent = VERSION;
await models.start();
register();
addEventListener("unhandledrejection", ({ reason }) => {
  if ((reason as Error)?.name !== "AbortError")
    alarm("Something went wrong", String(reason));
});
