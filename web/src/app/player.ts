/** Player of a recording, from anywhere in it. */

import { say } from "./elements";
import { clock } from "./words";

interface Parts {
  readonly sound: HTMLAudioElement;
  readonly button: HTMLButtonElement;
  readonly position: HTMLElement;
  /** Hidden while there is nothing that this browser can play. */
  readonly place: HTMLElement;
}

export class Player {
  private url: string | null = null;
  private until_s = Number.POSITIVE_INFINITY;
  private length_s = 0;
  private onMove: (at_s: number | null) => void = () => {};

  constructor(private readonly parts: Parts) {
    const { sound, button, place } = parts;
    button.addEventListener("click", () => {
      if (sound.paused) this.play(sound.ended ? 0 : sound.currentTime);
      else sound.pause();
    });
    for (const name of ["timeupdate", "play", "pause", "ended"]) {
      sound.addEventListener(name, () => this.update());
    }
    sound.addEventListener("error", () => {
      if (!this.url) return;
      place.hidden = true;
      say("This browser can analyse the file, but not play it.");
    });
  }

  /**
   * Open a recording; null for none.
   *
   * @param onMove Callback, called with the playback position; null before the first play.
   */
  open(
    sound: Blob | null,
    length_s: number,
    onMove: (at_s: number | null) => void = () => {},
  ): void {
    this.stop();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = sound && URL.createObjectURL(sound);
    this.onMove = onMove;
    this.length_s = length_s;
    if (this.url) this.parts.sound.src = this.url;
    else this.parts.sound.removeAttribute("src");
    this.parts.place.hidden = this.url === null;
    this.update();
  }

  /** Play from a time, up to another one or to the end. */
  play(from_s: number, until_s = Number.POSITIVE_INFINITY): void {
    if (!this.url) return;
    const { sound } = this.parts;
    this.until_s = until_s;
    if (sound.currentTime !== from_s) sound.currentTime = from_s;
    void sound.play().catch(() => {});
    this.follow();
  }

  stop(): void {
    this.parts.sound.pause();
  }

  /** Move the playhead with the sound, and stop where it was to end. */
  private follow(): void {
    const { sound } = this.parts;
    if (sound.currentTime >= this.until_s && !sound.seeking) sound.pause();
    this.update();
    if (!sound.paused) requestAnimationFrame(() => this.follow());
  }

  private update(): void {
    const { sound, button, position } = this.parts;
    const { paused, currentTime } = sound;
    button.textContent = paused ? "Play" : "Pause";
    button.setAttribute("aria-pressed", String(!paused));
    const length_s = Math.round(this.length_s);
    position.textContent = `${clock(currentTime)} of ${clock(length_s)}`;
    this.onMove(currentTime > 0 || !paused ? currentTime : null);
  }
}
