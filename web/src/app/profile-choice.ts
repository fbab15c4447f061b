/** Choice of one stored profile, of a speaker or of a setting: with facts, export and delete. */

import type { Analyzer, Kind, Profile } from "../espressivo";
import { alarmOf, calm } from "./alerts";
import { download } from "./download";
import { element, make, say } from "./elements";
import * as profiles from "./profiles";
import { remember, storage } from "./storage";
import { length } from "./words";

const NONE = "";

export class ProfileChoice {
  private readonly select: HTMLSelectElement;
  private analyzer: Analyzer | null = null;

  /**
   * @param kind Prefix of the ids of its elements, too.
   * @param none What is shown while none is chosen.
   * @param changed Callback, called when another one is chosen.
   * @param deleted Callback, called with the name of one that was deleted.
   */
  constructor(
    private readonly kind: Kind,
    private readonly none: string,
    private readonly changed: () => void,
    private readonly deleted: (name: string) => void = () => {},
  ) {
    this.select = element<HTMLSelectElement>(kind);
    this.select.addEventListener("change", () => void this.chosen());
    element(`${kind}-export`).addEventListener(
      "click",
      () => void attempt(() => this.export()),
    );
    element(`${kind}-delete`).addEventListener("click", () => this.delete());
  }

  /** Choose what was chosen when the page was last open. */
  restore(): void {
    void this.refresh(storage.getItem(this.key));
  }

  /** Name of the chosen profile; null if none is chosen. */
  get name(): string | null {
    return this.select.value === NONE ? null : this.select.value;
  }

  /**
   * Return the chosen profile; null if none is chosen.
   *
   * @throws ProfileError The profile is damaged.
   */
  async profile(): Promise<Profile | null> {
    return this.name === null ? null : profiles.load(this.kind, this.name);
  }

  /** Set the model, since a profile belongs to one model and not every model takes one. */
  use(analyzer: Analyzer): void {
    this.analyzer = analyzer;
    const takes = analyzer.card.adaptation !== null;
    this.select.disabled = !takes;
    void this.refresh(takes ? this.select.value : NONE);
  }

  /** List the stored profiles anew, and choose one. */
  async refresh(chosen: string | null): Promise<void> {
    const names = profiles.names(this.kind);
    const options = names.map((name) => make("option", { value: name }, name));
    this.select.replaceChildren(make("option", { value: NONE }, this.none), ...options);
    this.select.value = chosen !== null && names.includes(chosen) ? chosen : NONE;
    await this.chosen();
  }

  private get key(): string {
    return `espressivo.${this.kind}`;
  }

  private async export(): Promise<void> {
    const profile = await this.profile();
    if (profile)
      download(await profile.toJson(), `${profile.name}.json`, "application/json");
  }

  private delete(): void {
    const { kind, name } = this;
    if (name === null) return;
    const what =
      kind === "speaker"
        ? `the profile of ${name}, with its results`
        : `the setting ${name}`;
    if (!confirm(`Delete ${what}? There is no way back.`)) return;
    profiles.remove(kind, name);
    this.deleted(name);
    void this.refresh(NONE);
    say(`Deleted: ${what}.`);
  }

  private async chosen(): Promise<void> {
    const { kind, name } = this;
    remember(this.key, this.select.value);
    for (const id of [`${kind}-export`, `${kind}-delete`]) {
      element<HTMLButtonElement>(id).disabled = name === null;
    }
    this.changed();
    const facts = element(`${kind}-facts`);
    facts.textContent = "";
    await attempt(async () => {
      const profile = await this.profile();
      if (!profile) return;
      facts.textContent = heard(profile);
      if (this.analyzer) profile.requireModel(this.analyzer.card);
    });
  }
}

/** Show an alert if something fails. */
export async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    calm();
    await work();
  } catch (error) {
    alarmOf(error);
  }
}

function heard({ speech_s, statistics }: Profile): string {
  const { nRecordings, nWindows } = statistics;
  if (!nWindows) return "It has heard nothing yet.";
  const of = `${nRecordings} ${nRecordings === 1 ? "recording" : "recordings"}`;
  const windows = `${nWindows} ${nWindows === 1 ? "window" : "windows"}`;
  return `It has heard ${length(speech_s)} of speech: ${windows} of ${of}.`;
}
