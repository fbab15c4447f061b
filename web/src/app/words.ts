/** Text for numbers on the page. */

import type { Emotion } from "../espressivo";

/** Format seconds like a clock: 1:05, or 1:02:05. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Format a duration: in seconds below two minutes, then like a clock. */
export function length(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${clock(seconds)} min`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** Return the headline for an emotion, worded by its probability. */
export function headline(emotion: Emotion, probability: number): string {
  if (probability >= 0.75) return `Sounds like ${emotion}`;
  if (probability >= 0.5) return `Mostly ${emotion}`;
  return `Undecided; ${emotion} comes first`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
