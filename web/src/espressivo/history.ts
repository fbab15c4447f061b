/** What is known of a recording before it is judged: profiles, or its own windows. */

import {
  adapt,
  deviationOf,
  distance,
  infer,
  inferSetting,
  offsetOf,
  type Posterior,
  priorDeviation,
  spread,
  weightAgainst,
} from "./adaptation";
import type { AdaptationCard } from "./card";
import type { Prediction } from "./classifier";
import type { Adaptation } from "./report";
import { type Estimate, SAMPLE_RATE } from "./types";
import { emptyStatistics, merged, type WindowStatistics } from "./window-statistics";

// A covariance of few windows has a large first eigenvalue by chance.
const SPREAD_FROM = 20;

/** Name and statistics of a profile. */
export interface Known {
  readonly name: string;
  readonly statistics: WindowStatistics;
}

/** What the windows of a recording are adapted to. */
export interface AdaptationOptions {
  readonly profile: Known | null;
  readonly setting: Known | null;
  /** Whether the windows of the recording are one another's history. */
  readonly recording: boolean;
}

/** History of a recording, and the posterior that follows from it. */
export class History {
  private readonly posterior: Posterior | null;

  /**
   * @param recording Statistics of the recording, as a part of the history; null: the
   *   history is that of the profiles.
   * @param inSetting What the setting says, if that was inferred before.
   */
  constructor(
    private readonly card: AdaptationCard,
    readonly options: AdaptationOptions,
    private readonly recording: WindowStatistics | null = null,
    private readonly inSetting = inferSetting(card, options.setting?.statistics ?? null),
  ) {
    this.posterior = infer(card, this.speaker, inSetting);
  }

  /** Return statistics of no windows. */
  empty(): WindowStatistics {
    return emptyStatistics(this.card.means[0].length, this.card.nAxes);
  }

  /** Return the history with the recording, if its windows are one another's history. */
  with(recording: WindowStatistics): History {
    const { card, options, inSetting } = this;
    return options.recording ? new History(card, options, recording, inSetting) : this;
  }

  /** Return the adapted probabilities of one window. */
  adapt({ probabilities, voice }: Prediction): readonly number[] {
    return adapt(this.card, this.posterior, probabilities, voice ?? []);
  }

  /**
   * Return what a recording was adapted to.
   *
   * @param heard Statistics of the recording alone.
   * @param without Estimates of its windows without adaptation.
   */
  effect(heard: WindowStatistics, without: readonly Estimate[]): Adaptation {
    const { card, options, posterior } = this;
    const { profile, setting } = options;
    const all = [this.speaker, setting?.statistics ?? null].filter((each) => each !== null);
    const sum = (count: (of: WindowStatistics) => number) =>
      all.reduce((total, each) => total + count(each), 0);
    const known = profile?.statistics;
    const prior = priorDeviation(card);
    return {
      speaker: profile?.name ?? null,
      setting: setting?.name ?? null,
      recording: options.recording,
      nRecordings: sum(({ nRecordings }) => nRecordings),
      nWindows: sum(({ nWindows }) => nWindows),
      speech_s: sum(({ nSamples }) => nSamples) / SAMPLE_RATE,
      weight: posterior ? weightAgainst(card, posterior) : 0,
      offset: posterior ? Math.hypot(...offsetOf(posterior)) : 0,
      deviation: posterior ? deviationOf(posterior) : prior,
      priorDeviation: prior,
      distance: known?.nWindows && heard.nWindows ? distance(heard, known) : null,
      distanceLimit: card.distanceLimit,
      several: this.several(),
      without,
    };
  }

  /** The speaker's windows: those of the profile and of the recording. */
  private get speaker(): WindowStatistics | null {
    const known = this.options.profile?.statistics ?? null;
    return known && this.recording
      ? merged(known, this.recording)
      : (known ?? this.recording);
  }

  /** Return a warning if the history seems to be of several speakers; or null. */
  private several(): string | null {
    const { profile, recording } = this.options;
    const { speaker } = this;
    if (!speaker) return null;
    if (!profile) {
      const remedy = "analyse each person's part by itself";
      return warningOfSeveral(this.card, speaker, "the recording", remedy);
    }
    const what = `profile '${profile.name}'${recording ? " with the recording" : ""}`;
    return warningOfSeveral(this.card, speaker, what);
  }
}

/** Return the warnings about the voice: that it is another one, or that it is several. */
export function warningsOf(use: Adaptation | null): string[] {
  const warnings: string[] = [];
  if (use?.distance && use.distance > use.distanceLimit) {
    warnings.push(
      `the voice does not fit profile '${use.speaker}': its distance is ` +
        `${use.distance.toFixed(1)}, and ${use.distanceLimit.toFixed(1)} is rarely ` +
        "exceeded by the same voice; is it someone else?",
    );
  }
  return use?.several ? [...warnings, use.several] : warnings;
}

/**
 * Return a warning if windows vary more than those of one speaker do; or null.
 *
 * @param what Whose windows they are, such as "profile 'me'".
 * @param remedy What to do about it.
 */
export function warningOfSeveral(
  { spreadLimit }: AdaptationCard,
  statistics: WindowStatistics,
  what: string,
  remedy = "make one profile for each speaker",
): string | null {
  const found = statistics.nWindows < SPREAD_FROM ? 0 : spread(statistics);
  if (found <= spreadLimit) return null;
  return (
    `${what} is probably of several people: its windows vary by ${found.toFixed(1)}, and ` +
    `${spreadLimit.toFixed(1)} is rarely exceeded by one voice; ${remedy}`
  );
}
