/** View of a report. */

import type { Dimensions, Emotion, Report } from "../espressivo";
import { drawBars } from "./bars";
import { download, stem } from "./download";
import { announce, dot, element, make, show, unsure } from "./elements";
import { drawMoments } from "./moments";
import { Overview } from "./overview";
import { Path } from "./path";
import { Player } from "./player";
import { adapted, headline, inWords, length, likeliest, percent, promise } from "./words";

const player = new Player({
  sound: element<HTMLAudioElement>("sound"),
  button: element<HTMLButtonElement>("play"),
  position: element("position"),
  place: element("player"),
});
const title = element("timeline-title");
const sentence = make("p", { id: "sentence", class: "sentence" });
const moments = make("section", { id: "moments", class: "moments" });
const plane = make("details", { id: "path", class: "path" });
element("headline").before(sentence);
element("player").after(moments, plane);
let shown: { report: Report; sound: Blob | null } | null = null;
let drawn: { overview: Overview; path: Path } | null = null;

element("save-json").addEventListener("click", () => {
  if (shown) {
    const { report } = shown;
    download(`${report.toJson()}\n`, `${stem(report.recording)}.json`, "application/json");
  }
});
element("save-csv").addEventListener("click", () => {
  if (shown)
    download(shown.report.toCsv(), `${stem(shown.report.recording)}.csv`, "text/csv");
});
element("save-sound").addEventListener("click", () => {
  if (shown?.sound)
    download(shown.sound, `${stem(shown.report.recording)}.wav`, "audio/wav");
});

/**
 * Show a report.
 *
 * @param sound Audio for the player; null if there is none.
 * @param recorded Whether the audio was recorded here, so that it can be saved.
 */
export function showReport(
  report: Report,
  sound: Blob | null,
  { recorded, learned }: { recorded: boolean; learned: boolean },
): void {
  shown = { report, sound };
  const { emotion, probabilities, uncertain } = report;
  element("result-name").textContent = report.recording;
  const spoken = emotion !== null && probabilities !== null;
  element("headline").replaceChildren(
    ...(!spoken
      ? ["No speech was found"]
      : uncertain
        ? unsure("Not sure", likeliest(probabilities))
        : [dot(emotion), headline(emotion, probabilities[emotion], uncertain)]),
  );
  element("summary").textContent = spoken
    ? `${length(report.speech_s)} of speech in ${length(report.duration_s)} ` +
      `(${percent(report.speechShare)}), in ${windowsOf(report)}.`
    : `Nobody seems to speak in these ${length(report.duration_s)}: no emotion is made up. ` +
      "Speak nearer to the microphone, or choose another recording.";
  sentence.textContent = report.summary;
  sentence.hidden = !spoken;
  for (const id of ["disclaimer", "bars", "windows"]) show(id, spoken);
  if (spoken) drawBars(element("bars"), probabilities, report.certainty);
  showCertainty(report);
  showAdaptation(report, learned);
  const warnings = report.warnings.map((text) => make("p", { class: "note" }, text));
  element("warnings").replaceChildren(...warnings);
  show("save-sound", recorded);
  show("result", true);
  draw(report, sound);
  element<HTMLDetailsElement>("windows").open = false;
  element("table").replaceChildren(tableOf(report));
  element("headline").focus({ preventScroll: true });
  element("result").scrollIntoView({ block: "nearest" });
  const found = spoken ? inWords(probabilities, uncertain) : "no speech";
  announce(spoken ? `Done: ${found}. ${report.summary}` : `Done: ${found}.`);
}

/** Hide the report and release the recording. */
export function hideReport(): void {
  shown = null;
  erase();
  player.open(null, 0);
  show("result", false);
}

/** Return the report on the page and its sound; null: there is none. */
export function shownReport(): typeof shown {
  return shown;
}

/** Draw the overview, the strongest moments and the path, which play and mark one another. */
function draw(report: Report, sound: Blob | null): void {
  erase();
  const overview = new Overview(element("timeline"), report, {
    title,
    ...(sound && { onSeek: (at_s: number) => player.play(at_s) }),
  });
  const path = new Path(plane, report, ({ first, start_s }, isTap) => {
    overview.reveal(first);
    if (isTap) player.play(start_s);
  });
  overview.onSelect = (window) => path.mark(window);
  drawMoments(moments, report, ({ first }, from_s, until_s) => {
    overview.reveal(first);
    player.play(from_s, until_s);
  });
  player.open(sound, report.duration_s, (at_s) => overview.playhead(at_s));
  drawn = { overview, path };
}

function erase(): void {
  drawn?.overview.destroy();
  drawn?.path.destroy();
  drawn = null;
}

/** Return the number of windows, and of how many the model is sure. */
function windowsOf(report: Report): string {
  const n = report.estimates.length;
  const sure = report.estimates.filter((each) => !report.isUncertain(each)).length;
  const said = !report.certainty || sure === n ? "" : `; it is sure of ${sure || "none"}`;
  return `${n} ${n === 1 ? "window" : "windows"}${said}`;
}

/** Say what makes a result uncertain, and how often others were right. */
function showCertainty({ certainty, uncertain }: Report): void {
  show("certainty", certainty !== null && uncertain !== null);
  if (!certainty) return;
  const line = percent(certainty.threshold);
  element("certainty").textContent = uncertain
    ? `The model is not sure: no emotion reaches ${line}, the line in the bars. Where one ` +
      `did, it was ${promise(certainty)}.`
    : `The model is sure where an emotion reaches ${line}, the line in the bars: it was ` +
      `then ${promise(certainty)}.`;
}

/** Say what the result was adapted to, how far it moved, and how sure that is. */
function showAdaptation(report: Report, learned: boolean): void {
  const use = report.adaptation;
  show("adaptation", use !== null);
  if (!use) return;
  const taught = learned
    ? "The profile has learned from this recording."
    : "The profile did not learn from it.";
  element("adaptation").textContent = [
    adapted(report, use),
    ...(use.speaker ? [taught] : []),
  ].join(" ");
}

function tableOf(report: Report): HTMLTableElement {
  const names = report.dimensionNames;
  const head = ["From", "To", "Emotion", ...report.emotions, ...names].map((text) =>
    make("th", { scope: "col", class: text === "Emotion" ? "word" : "" }, text),
  );
  const { windows } = report.toDict() as {
    windows: {
      start_s: number;
      end_s: number;
      emotion: Emotion;
      uncertain: boolean | null;
      probabilities: Record<Emotion, number>;
      dimensions: Dimensions | null;
    }[];
  };
  const rows = windows.map((window) => {
    const { start_s, end_s, emotion, uncertain, probabilities, dimensions } = window;
    const kind = uncertain ? `swatch unsure of-${emotion}` : `swatch of-${emotion}`;
    const swatch = make("span", { class: kind, "aria-hidden": "true" });
    const word = uncertain ? `${emotion}, not sure` : emotion;
    return make(
      "tr",
      {},
      make("td", {}, start_s.toFixed(1)),
      make("td", {}, end_s.toFixed(1)),
      make("td", { class: "word" }, swatch, word),
      ...report.emotions.map((each) => make("td", {}, percent(probabilities[each]))),
      ...names.map((each) => make("td", {}, dimensions?.[each]?.toFixed(2) ?? "")),
    );
  });
  const caption = make(
    "caption",
    { class: "hidden" },
    `Seconds, the share of each emotion${names.length ? ", and dimensions from 0 to 1" : ""}`,
  );
  return make(
    "table",
    {},
    caption,
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}
