/** The strongest moments of a recording, to hear again. */

import { type Estimate, type Report, SAMPLE_RATE } from "../espressivo";
import { samplesIn } from "../espressivo/types";
import { hasArousal } from "./drawing";
import { make } from "./elements";
import { clock, inWords } from "./words";

const MOST = 5;
const LONG = 2 * SAMPLE_RATE; // estimates of shorter windows vary more

/** One moment: neighbouring windows. */
export interface Moment {
  /** Indices of the windows. */
  readonly first: number;
  readonly last: number;
  /** Index of the strongest of them. */
  readonly peak: number;
}

/**
 * Return the strongest moments in order of time, at most five.
 *
 * Strong is a window of great arousal; if the model has no arousal, one that is probably
 * of an emotion other than neutral. Of few windows not all are strong: half at most.
 * Windows below 2 s count only if all are so short. The page of a report
 * (`assets/report.html`) has the same rule.
 */
export function strongestMoments(report: Report): Moment[] {
  const strength = strengthOf(report);
  const all = report.estimates.map((each, i) => ({ i, strength: strength(each) }));
  const long = all.filter(({ i }) => samplesIn(report.estimates[i].segment) >= LONG);
  const counted = long.length ? long : all;
  const strongest = counted
    .filter((each) => each.strength > 0)
    .sort((a, b) => b.strength - a.strength || a.i - b.i)
    .slice(0, Math.min(MOST, Math.floor(counted.length / 2)));
  const moments: Moment[] = [];
  for (const { i } of strongest.toSorted((a, b) => a.i - b.i)) {
    const before = moments.at(-1);
    if (before?.last === i - 1) {
      const isStronger = all[i].strength > all[before.peak].strength;
      moments[moments.length - 1] = {
        ...before,
        last: i,
        peak: isStronger ? i : before.peak,
      };
    } else moments.push({ first: i, last: i, peak: i });
  }
  return moments;
}

function strengthOf(report: Report): (estimate: Estimate) => number {
  if (hasArousal(report)) return ({ dimensions }) => dimensions?.arousal ?? 0;
  return ({ emotion, probabilities }) =>
    emotion === "neutral" ? 0 : probabilities[emotion];
}

/**
 * List the strongest moments; nothing if there are none.
 *
 * @param play Callback, called with a moment and its ends, in seconds.
 */
export function drawMoments(
  place: HTMLElement,
  report: Report,
  play: (moment: Moment, from_s: number, until_s: number) => void,
): void {
  const moments = strongestMoments(report);
  place.hidden = moments.length === 0;
  const why = hasArousal(report)
    ? "Where the voice sounds most animated."
    : "Where an emotion other than neutral is most probable.";
  const items = moments.map((moment) => {
    const { first, last, peak } = moment;
    const from_s = report.estimates[first].segment.start / SAMPLE_RATE;
    const until_s = report.estimates[last].segment.end / SAMPLE_RATE;
    const strongest = report.estimates[peak];
    const uncertain = report.isUncertain(strongest);
    const { emotion } = strongest;
    const kind = uncertain ? `swatch unsure of-${emotion}` : `swatch of-${emotion}`;
    const button = make(
      "button",
      { type: "button" },
      make("span", { class: "play-mark", "aria-hidden": "true" }),
      make("span", { class: "hidden" }, "Play "),
      make("span", { class: "when" }, `${clock(from_s)} to ${clock(until_s)}`),
      make(
        "span",
        {},
        make("span", { class: kind, "aria-hidden": "true" }),
        inWords(strongest.probabilities, uncertain),
      ),
    );
    button.addEventListener("click", () => play(moment, from_s, until_s));
    return make("li", {}, button);
  });
  place.replaceChildren(
    make("h3", {}, items.length === 1 ? "Strongest moment" : "Strongest moments"),
    make("p", { class: "fine" }, why),
    make("ol", {}, ...items),
  );
}
