/** Text for numbers on the page. */

import type { Adaptation, Certainty, Distribution, Emotion, Report } from "../espressivo";

/** Format seconds like a clock: 1:05, or 1:02:05. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Format a duration: in seconds below two minutes, then like a clock. */
export function length(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${clock(seconds)} ${seconds < 3600 ? "min" : "h"}`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/**
 * Return the headline for an emotion that is not uncertain, worded by its probability.
 *
 * @param uncertain False if the probability reaches the model's threshold; null if the
 *   model has none.
 */
export function headline(
  emotion: Emotion,
  probability: number,
  uncertain: false | null,
): string {
  if (probability >= 0.75) return `Sounds like ${emotion}`;
  if (probability >= 0.5 || uncertain === false) return `Mostly ${emotion}`;
  return `Undecided; ${emotion} comes first`;
}

/** Return the two most probable emotions, between which an uncertain estimate is. */
export function likeliest(probabilities: Distribution): Emotion[] {
  const order = Object.keys(probabilities) as Emotion[];
  return order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 2);
}

/** Return an estimate in words: "sadness, 62 %", or what it is not sure about. */
export function inWords(probabilities: Distribution, uncertain: boolean | null): string {
  const [first, ...rest] = likeliest(probabilities);
  const share = (emotion: Emotion) => percent(probabilities[emotion]);
  return uncertain
    ? `not sure, ${[first, ...rest].map((each) => `${each} ${share(each)}`).join(" or ")}`
    : `${first}, ${share(first)}`;
}

/** Return how often estimates that reach the model's threshold were right. */
export function promise({ accuracy }: Certainty): string {
  return `right in ${percent(accuracy)} of the cases, on corpora that it did not learn from`;
}

/** Return what a result was adapted to, how far that moved it, and how known the voice is. */
export function adapted(report: Report, use: Adaptation): string {
  const named = [
    ...(use.speaker ? [use.speaker] : []),
    ...(use.setting ? [`the setting ${use.setting}`] : []),
    ...(use.recording ? ["the recording itself"] : []),
  ];
  const to = named.join(", ").replace(/, ([^,]*)$/, " and $1");
  if (!use.weight) return `Not adapted: no speech of ${to} is known yet.`;
  const before = report.emotionWithout;
  const other = before && before !== report.emotion ? ` (before: ${before})` : "";
  const known = Math.max(0, 1 - use.deviation / use.priorDeviation);
  return (
    `Adapted to ${to}, by ${length(use.speech_s)} of speech: ${percent(report.change)} of ` +
    `the probability moved${other}. The voice is ${percent(known)} known.`
  );
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
