/** Two recordings side by side, on the same time scale. */

import type { Report } from "../espressivo";
import { drawBars } from "./bars";
import { dot, element, make, show, unsure } from "./elements";
import { Overview } from "./overview";
import { Player } from "./player";
import type { Item } from "./queue";
import { headline, length, likeliest } from "./words";

let shown: { player: Player; overview: Overview | null }[] = [];

/** Show two analysed recordings. */
export function showComparison(one: Item, other: Item): void {
  hideComparison();
  const pair = [one, other].flatMap(({ found, sound }) =>
    found ? [{ report: found.report, sound }] : [],
  );
  const longest = Math.max(...pair.map(({ report }) => report.duration_s));
  const columns = pair.map(({ report }) => columnOf(report));
  element("compare-pair").replaceChildren(...columns.map(({ column }) => column));
  show("compare", true); // before anything is drawn, since what is hidden has no size
  shown = pair.map(({ report, sound }, i) => {
    const { host, player, audio } = columns[i];
    audio.addEventListener("play", () => {
      for (const each of shown) if (each.player !== player) each.player.stop();
    });
    const onSeek = (at_s: number) => player.play(at_s);
    const overview = report.emotion
      ? new Overview(host, report, { onSeek, length_s: longest })
      : null;
    player.open(sound, report.duration_s, (at_s) => overview?.playhead(at_s));
    return { player, overview };
  });
  element("compare-title").focus({ preventScroll: true });
  element("compare").scrollIntoView({ block: "nearest" });
}

/** Hide the comparison and release the recordings. */
export function hideComparison(): void {
  for (const { player, overview } of shown) {
    player.open(null, 0, () => undefined);
    overview?.destroy();
  }
  shown = [];
  element("compare-pair").replaceChildren();
  show("compare", false);
}

function columnOf(report: Report) {
  const { recording, emotion, probabilities, uncertain } = report;
  const bars = make("div", { class: "bars" });
  if (probabilities) drawBars(bars, probabilities, report.certainty);
  const words =
    !emotion || !probabilities
      ? ["No speech was found"]
      : uncertain
        ? unsure("Not sure", likeliest(probabilities))
        : [dot(emotion), headline(emotion, probabilities[emotion], uncertain)];
  const host = make("div", { class: "compare-overview" });
  const audio = make("audio", { preload: "metadata", hidden: "" });
  const button = make("button", { type: "button" });
  const position = make("span", { class: "fine" });
  const place = make("p", { class: "player" }, button, position, audio);
  const column = make(
    "article",
    { "aria-label": recording },
    make("h3", {}, recording),
    make("p", { class: "fine" }, length(report.duration_s)),
    make("p", { class: "sentence" }, report.summary ?? ""),
    make("p", { class: "compare-headline" }, ...words),
    bars,
    host,
    place,
  );
  const player = new Player({ sound: audio, button, position, place });
  return { column, host, audio, player };
}
