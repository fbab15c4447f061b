/**
 * Bar chart of a distribution, which a screen reader reads as text.
 *
 * A line across the bars marks the threshold of a model that has one.
 */

import type { Certainty, Emotion } from "../espressivo";
import { make } from "./elements";
import { percent } from "./words";

export function drawBars(
  place: HTMLElement,
  emotions: readonly Emotion[],
  probabilities: readonly number[],
  certainty: Certainty | null,
): void {
  const cells = emotions.flatMap((emotion, i) => {
    const fill = make("div", { class: `bar-fill of-${emotion}` });
    fill.style.width = `${100 * probabilities[i]}%`;
    const track = make("div", { class: "bar-track", "aria-hidden": "true" }, fill);
    if (certainty) {
      const limit = make("div", { class: "bar-limit" });
      limit.style.left = `${100 * certainty.threshold}%`;
      track.append(limit);
    }
    return [
      make("span", {}, emotion),
      track,
      make("span", { class: "bar-value" }, percent(probabilities[i])),
    ];
  });
  place.replaceChildren(...cells);
}
