/** Panel of what the model adapts to: a speaker, a setting, and the recording itself. */

import type { AnalyzeOptions, Analyzer, Report } from "../espressivo";
import { alarmOf } from "./alerts";
import { element, say } from "./elements";
import { HistoryPanel } from "./history-panel";
import { attempt, ProfileChoice } from "./profile-choice";
import * as profiles from "./profiles";
import { remember, storage } from "./storage";

const TOGETHER = "espressivo.together";

export class VoicePanel {
  private readonly together = element<HTMLInputElement>("together");
  private readonly learn = element<HTMLInputElement>("learn");
  private readonly speaker: ProfileChoice;
  private readonly setting: ProfileChoice;
  private readonly history = new HistoryPanel();
  private analyzer: Analyzer | null = null;

  constructor() {
    const changed = () => this.tell();
    const speakerChanged = () => {
      this.tell();
      void this.history.use(this.speaker.name);
    };
    this.together.checked = storage.getItem(TOGETHER) === "true";
    this.together.addEventListener("change", () => {
      remember(TOGETHER, String(this.together.checked));
      this.tell();
    });
    this.speaker = new ProfileChoice(
      "speaker",
      "nobody's in particular",
      speakerChanged,
      (name) => this.history.drop(name),
    );
    this.setting = new ProfileChoice("setting", "nowhere in particular", changed);
    element("new-voice").addEventListener("submit", (event) => {
      event.preventDefault();
      void attempt(() => this.create());
    });
    const file = element<HTMLInputElement>("voice-file");
    element("voice-import").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const [picked] = file.files ?? [];
      file.value = "";
      if (picked) void attempt(() => this.import(picked));
    });
    this.speaker.restore();
    this.setting.restore();
  }

  /** Set the model; not every model can adapt. */
  use(analyzer: Analyzer): void {
    this.analyzer = analyzer;
    for (const id of ["together", "learn", "voice-name"]) {
      element<HTMLInputElement>(id).disabled = !analyzer.card.adaptation;
    }
    this.speaker.use(analyzer);
    this.setting.use(analyzer);
  }

  /**
   * Return what a recording is to be adapted to.
   *
   * @throws ProfileError A profile is damaged.
   */
  async options(): Promise<Pick<AnalyzeOptions, "profile" | "setting" | "adapt">> {
    return {
      profile: await this.speaker.profile(),
      setting: await this.setting.profile(),
      adapt: this.adapts,
    };
  }

  /**
   * Update the selected profile and its history, if that is enabled and the voice fits.
   *
   * @param when Time of the recording.
   * @returns Whether the profile has learned.
   */
  async learnFrom(report: Report, when: Date): Promise<boolean> {
    try {
      return await this.updateProfile(report);
    } finally {
      // Afterwards, since an update removes alerts.
      await this.history.add(report, when).catch(alarmOf);
    }
  }

  private async updateProfile(report: Report): Promise<boolean> {
    const speaker = report.adaptation?.speaker;
    if (!speaker || !this.learn.checked || report.fits === false) return false;
    if (!report.statistics?.nWindows) return false;
    await profiles.learn(speaker, report);
    await this.speaker.refresh(this.speaker.name);
    return true;
  }

  private get adapts(): boolean {
    return this.together.checked && !this.together.disabled;
  }

  private async create(): Promise<void> {
    const name = element<HTMLInputElement>("voice-name");
    const speaker = name.value.trim();
    if (!this.analyzer) return;
    await profiles.create(speaker, this.analyzer.card);
    name.value = "";
    await this.speaker.refresh(speaker);
    say(`Profile ${speaker} was created; it knows nothing yet.`);
  }

  private async import(file: File): Promise<void> {
    const { kind, name } = await profiles.take(file);
    await this[kind].refresh(name);
    say(
      kind === "speaker"
        ? `Imported: the profile of ${name}.`
        : `Imported: setting ${name}.`,
    );
  }

  /** Show in the summary what is in use. */
  private tell(): void {
    const used = [
      this.speaker.name,
      this.setting.name,
      this.adapts && "the recording itself",
    ];
    element("voice-now").textContent =
      used.filter(Boolean).join(", ") || "the average voice";
  }
}
