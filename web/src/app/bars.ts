/**
 * Bar chart of a distribution, which a screen reader reads as text.
 *
 * A line across the bars marks the threshold of a model that has one.
 */

import type { Certainty, Distribution } from "../espressivo";
import { make } from "./elements";
import { percent } from "./words";

export function drawBars(
  place: HTMLElement,
  probabilities: Distribution,
  certainty: Certainty | null,
): void {
  const cells = Object.entries(probabilities).flatMap(([emotion, probability]) => {
    const fill = make("div", { class: `bar-fill of-${emotion}` });
    fill.style.width = `${100 * probability}%`;
    const track = make("div", { class: "bar-track", "aria-hidden": "true" }, fill);
    if (certainty) {
      const limit = make("div", { class: "bar-limit" });
      limit.style.left = `${100 * certainty.threshold}%`;
      track.append(limit);
    }
    return [
      make("span", {}, emotion),
      track,
      make("span", { class: "bar-value" }, percent(probability)),
    ];
  });
  place.replaceChildren(...cells);
}
