/** The analysis pass over one recording: blocks -> speech -> windows -> estimates. */

import { type Classifier, featuresOf, type Prediction } from "./classifier";
import { QualityMeter, UNKNOWN } from "./quality";
import type { ProfileUse, ReportFields } from "./report";
import type { Graph } from "./session";
import { emptyStatistics, type SpeakerStatistics, withWindow } from "./speaker-statistics";
import { Segmenter, SpeechDetector } from "./speech";
import {
  type Estimate,
  SAMPLE_RATE,
  type Segment,
  type StreamUpdate,
  samplesIn,
} from "./types";
import { type Window, Windower } from "./windows";

/** The name of a speaker with a profile, and the statistics of that profile. */
export interface KnownSpeaker {
  readonly speaker: string;
  readonly speakerStatistics: SpeakerStatistics;
}

export interface AnalysisOptions {
  readonly known?: KnownSpeaker | null;
  /**
   * Interval in seconds at which an open segment is estimated; 0 for never. It takes
   * time and does not change the report.
   */
  readonly hop_s?: number;
  /** Yield to other tasks; throws an AbortError when the analysis was cancelled. */
  readonly yield?: () => Promise<void>;
}

const LEAST_PROVISIONAL = SAMPLE_RATE; // below one second, estimates are unreliable

export class AnalysisPass {
  private readonly detector: SpeechDetector;
  private readonly segmenter = new Segmenter();
  private readonly meter = new QualityMeter();
  private readonly windower: Windower;
  private readonly segments: Segment[] = [];
  private readonly estimates: Estimate[] = [];
  private readonly without: Estimate[] = [];
  private readonly known: KnownSpeaker | null;
  private readonly hop: number;
  private readonly pause: () => Promise<void>;
  private speakerStatistics: SpeakerStatistics | null;
  private nextPeek = 0;

  constructor(
    private readonly classifier: Classifier,
    vad: Graph,
    options: AnalysisOptions = {},
  ) {
    const { card } = classifier;
    this.detector = new SpeechDetector(vad);
    this.windower = new Windower(
      Math.round(card.window_s * SAMPLE_RATE),
      Math.round(card.min_s * SAMPLE_RATE),
    );
    this.known = options.known ?? null;
    this.speakerStatistics =
      this.known && emptyStatistics(this.known.speakerStatistics.mean.length);
    this.hop = Math.round((options.hop_s ?? 0) * SAMPLE_RATE);
    this.pause = options.yield ?? (async () => {});
  }

  /** Process the next samples of the recording, at 16 kHz. */
  async push(block: Float32Array): Promise<StreamUpdate> {
    this.windower.push(block);
    const probabilities = await this.detector.push(block);
    this.meter.push(block, probabilities);
    const windows = this.cut(this.segmenter.push(probabilities));
    const open = this.segmenter.open;
    if (open) windows.push(...this.windower.cutOpen(open));
    const estimates = await this.judge(windows);
    const provisional = open && (await this.peek(open));
    this.windower.forget(this.segmenter.unsettledFrom);
    const duration_s = this.windower.nSamples / SAMPLE_RATE;
    return { estimates, provisional, duration_s, speaking: open !== null };
  }

  /** Process the end of the recording; return the remaining content of the report. */
  async finish(): Promise<
    Omit<
      ReportFields,
      | "recording"
      | "model"
      | "emotions"
      | "certainty"
      | "warnings"
      | "track"
      | "channels"
      | "gaps"
    >
  > {
    const n = this.windower.nSamples;
    const closed = this.segmenter.push(await this.detector.finish());
    await this.judge(this.cut([...closed, ...this.segmenter.finish(n)]));
    if (this.speakerStatistics?.nWindows)
      this.speakerStatistics = { ...this.speakerStatistics, nRecordings: 1 };
    return {
      duration_s: n / SAMPLE_RATE,
      segments: this.segments,
      estimates: this.estimates,
      quality: this.segments.length ? this.meter.measure() : UNKNOWN,
      profile: await this.profileUse(),
      speakerStatistics: this.speakerStatistics,
    };
  }

  private cut(segments: readonly Segment[]): Window[] {
    return segments.flatMap(({ start, end }) => {
      // The last frame is padded with zeros, so that its end may exceed the recording.
      const segment = { start, end: Math.min(end, this.windower.nSamples) };
      this.segments.push(segment);
      return this.windower.cutClosed(segment);
    });
  }

  private async judge(windows: readonly Window[]): Promise<Estimate[]> {
    const estimates: Estimate[] = [];
    for (const { segment, signal } of windows) {
      await this.pause();
      const prediction = await this.classifier.classify(signal, this.known !== null);
      const estimate = { segment, probabilities: await this.withProfile(prediction) };
      if (this.speakerStatistics) {
        this.without.push({ segment, probabilities: prediction.probabilities });
        this.speakerStatistics = withWindow(
          this.speakerStatistics,
          featuresOf(prediction),
          samplesIn(segment),
        );
      }
      this.estimates.push(estimate);
      estimates.push(estimate);
    }
    return estimates;
  }

  /** Estimate the open segment every `hop_s` seconds. */
  private async peek(open: Segment): Promise<Estimate | null> {
    if (!this.hop || this.windower.nSamples < this.nextPeek) return null;
    const window = this.windower.peek(open, LEAST_PROVISIONAL);
    if (!window) return null;
    this.nextPeek = this.windower.nSamples + this.hop;
    const prediction = await this.classifier.classify(window.signal, this.known !== null);
    return { segment: window.segment, probabilities: await this.withProfile(prediction) };
  }

  private async withProfile(prediction: Prediction): Promise<readonly number[]> {
    const { profileHead } = this.classifier;
    if (!this.known || !profileHead || !prediction.embedding)
      return prediction.probabilities;
    return profileHead.predict(
      prediction.embedding,
      prediction.probabilities,
      this.known.speakerStatistics,
    );
  }

  private async profileUse(): Promise<ProfileUse | null> {
    const { profileHead } = this.classifier;
    if (!this.known || !this.speakerStatistics || !profileHead) return null;
    const { speaker, speakerStatistics } = this.known;
    const both = this.speakerStatistics.nWindows && speakerStatistics.nWindows;
    return {
      speaker,
      nRecordings: speakerStatistics.nRecordings,
      nWindows: speakerStatistics.nWindows,
      speech_s: speakerStatistics.nSamples / SAMPLE_RATE,
      trust: speakerStatistics.nWindows ? await profileHead.trust(speakerStatistics) : 0,
      distance: both
        ? await profileHead.distance(this.speakerStatistics, speakerStatistics)
        : null,
      distanceLimit: profileHead.card.distanceLimit,
      without: this.without,
    };
  }
}
