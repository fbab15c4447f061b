/** Bar chart of a distribution, which a screen reader reads as text. */

import type { Emotion } from "../espressivo";
import { make } from "./elements";
import { percent } from "./words";

export function drawBars(
  place: HTMLElement,
  emotions: readonly Emotion[],
  probabilities: readonly number[],
): void {
  const cells = emotions.flatMap((emotion, i) => {
    const fill = make("div", { class: `bar-fill of-${emotion}` });
    fill.style.width = `${100 * probabilities[i]}%`;
    return [
      make("span", {}, emotion),
      make("div", { class: "bar-track", "aria-hidden": "true" }, fill),
      make("span", { class: "bar-value" }, percent(probabilities[i])),
    ];
  });
  place.replaceChildren(...cells);
}
