/** Player of the recording, or of one window. */

import { type Estimate, SAMPLE_RATE } from "../espressivo";
import { element, say, show } from "./elements";
import type { Timeline } from "./timeline";
import { clock } from "./words";

export class Player {
  private readonly sound = element<HTMLAudioElement>("sound");
  private readonly button = element<HTMLButtonElement>("play");
  private url: string | null = null;
  private until_s = Number.POSITIVE_INFINITY;
  private timeline: Timeline | null = null;
  private length_s = 0;

  constructor() {
    this.button.addEventListener("click", () => this.toggle());
    this.sound.addEventListener("timeupdate", () => this.update());
    for (const name of ["play", "pause", "ended"]) {
      this.sound.addEventListener(name, () => this.update());
    }
    this.sound.addEventListener("error", () => {
      if (!this.url) return;
      show("player", false);
      say("This browser can analyse the file, but not play it.");
    });
  }

  /** Open a recording; null for none. */
  open(sound: Blob | null, length_s: number, timeline: Timeline | null): void {
    this.sound.pause();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = sound && URL.createObjectURL(sound);
    this.timeline = timeline;
    this.length_s = length_s;
    this.until_s = Number.POSITIVE_INFINITY;
    if (this.url) this.sound.src = this.url;
    else this.sound.removeAttribute("src");
    show("player", this.url !== null);
    this.update();
  }

  /** Play one window and stop at its end. */
  playWindow({ segment }: Estimate): void {
    if (!this.url) return;
    this.until_s = segment.end / SAMPLE_RATE;
    this.sound.currentTime = segment.start / SAMPLE_RATE;
    void this.sound.play().catch(() => {});
    this.follow();
  }

  private toggle(): void {
    if (!this.sound.paused) {
      this.sound.pause();
      return;
    }
    this.until_s = Number.POSITIVE_INFINITY;
    void this.sound.play().catch(() => {});
    this.follow();
  }

  /** Move the playhead with the audio, and stop at the end of a window. */
  private follow(): void {
    if (this.sound.currentTime >= this.until_s) this.sound.pause();
    this.update();
    if (!this.sound.paused) requestAnimationFrame(() => this.follow());
  }

  private update(): void {
    const { paused, currentTime } = this.sound;
    this.button.textContent = paused ? "Play" : "Pause";
    this.button.setAttribute("aria-pressed", String(!paused));
    element("position").textContent =
      `${clock(currentTime)} of ${clock(Math.round(this.length_s))}`;
    this.timeline?.mark(currentTime > 0 || !paused ? currentTime : null);
  }
}
