/** Panel for speaker profiles: choose, create, export, import and delete. */

import type { Analyzer, Profile, Report } from "../espressivo";
import { alarmOf, calm } from "./alerts";
import { download } from "./download";
import { element, make, say } from "./elements";
import * as profiles from "./profiles";
import { length } from "./words";

const NONE = "";
const CHOSEN = "espressivo.speaker";

export class VoicePanel {
  private readonly select = element<HTMLSelectElement>("speaker");
  private readonly learn = element<HTMLInputElement>("learn");
  private analyzer: Analyzer | null = null;

  constructor() {
    this.select.addEventListener("change", () => void this.chosen());
    element("new-voice").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.attempt(() => this.create());
    });
    element("voice-export").addEventListener(
      "click",
      () => void this.attempt(() => this.export()),
    );
    element("voice-delete").addEventListener("click", () => this.delete());
    const file = element<HTMLInputElement>("voice-file");
    element("voice-import").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const [picked] = file.files ?? [];
      file.value = "";
      if (picked) void this.attempt(async () => this.refresh(await profiles.take(picked)));
    });
    void this.refresh(localStorage.getItem(CHOSEN) ?? NONE);
  }

  /** Set the model, since a profile belongs to one model and not every model takes one. */
  use(analyzer: Analyzer): void {
    this.analyzer = analyzer;
    const takes = analyzer.card.profileHead !== null;
    for (const id of ["speaker", "learn", "voice-name"]) {
      element<HTMLInputElement>(id).disabled = !takes;
    }
    void this.refresh(takes ? this.select.value : NONE);
  }

  /**
   * Return the selected profile; null if none is selected.
   *
   * @throws ProfileError The profile is damaged.
   */
  async profile(): Promise<Profile | null> {
    const speaker = this.select.value;
    return speaker === NONE ? null : profiles.load(speaker);
  }

  /** Update the selected profile, if that is enabled and the voice fits. */
  async learnFrom(report: Report): Promise<boolean> {
    const speaker = report.profile?.speaker;
    if (!speaker || !this.learn.checked || report.fits === false) return false;
    if (!report.speakerStatistics?.nWindows) return false;
    await profiles.learn(speaker, report);
    await this.refresh(this.select.value);
    return true;
  }

  private async create(): Promise<void> {
    const name = element<HTMLInputElement>("voice-name");
    const speaker = name.value.trim();
    if (!this.analyzer) return;
    await profiles.create(speaker, this.analyzer.card);
    name.value = "";
    await this.refresh(speaker);
    say(`Profile ${speaker} was created; it knows nothing yet.`);
  }

  private async export(): Promise<void> {
    const profile = await profiles.load(this.select.value);
    download(await profile.toJson(), `${profile.speaker}.json`, "application/json");
  }

  private delete(): void {
    const speaker = this.select.value;
    if (!confirm(`Delete the profile of ${speaker}? There is no way back.`)) return;
    profiles.remove(speaker);
    void this.refresh(NONE);
    say(`Profile ${speaker} was deleted.`);
  }

  private async refresh(chosen: string): Promise<void> {
    const names = profiles.names();
    const options = names.map((name) => make("option", { value: name }, name));
    this.select.replaceChildren(
      make("option", { value: NONE }, "nobody's in particular"),
      ...options,
    );
    this.select.value = names.includes(chosen) ? chosen : NONE;
    await this.chosen();
  }

  private async chosen(): Promise<void> {
    const speaker = this.select.value;
    localStorage.setItem(CHOSEN, speaker);
    element("voice-now").textContent = speaker || "no profile";
    for (const id of ["voice-export", "voice-delete"]) {
      element<HTMLButtonElement>(id).disabled = speaker === NONE;
    }
    const facts = element("voice-facts");
    facts.textContent = "";
    if (speaker === NONE) return;
    await this.attempt(async () => {
      const profile = await profiles.load(speaker);
      const { nRecordings, nWindows } = profile.speakerStatistics;
      facts.textContent = nWindows
        ? `It has heard ${length(profile.speech_s)} of speech: ${nWindows} windows of ` +
          `${nRecordings} ${nRecordings === 1 ? "recording" : "recordings"}.`
        : "It has heard nothing yet.";
      if (this.analyzer) profile.requireModel(this.analyzer.card);
    });
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      calm();
      await work();
    } catch (error) {
      alarmOf(error);
    }
  }
}
