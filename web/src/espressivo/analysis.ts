/** The analysis pass over one recording: blocks -> speech -> windows -> estimates. */

import type { Classifier, Prediction } from "./classifier";
import type { History } from "./history";
import { LoudnessMeter } from "./loudness";
import { QualityMeter, UNKNOWN } from "./quality";
import type { ReportFields } from "./report";
import type { Graph } from "./session";
import { Segmenter, SpeechDetector } from "./speech";
import {
  type Estimate,
  estimateOf,
  SAMPLE_RATE,
  type Segment,
  type StreamUpdate,
  samplesIn,
} from "./types";
import { type WindowStatistics, withWindow } from "./window-statistics";
import { type Window, Windower } from "./windows";

export interface AnalysisOptions {
  /** What the windows are adapted to; null: the plain model. */
  readonly history?: History | null;
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
  private readonly loudness = new LoudnessMeter();
  private readonly windower: Windower;
  private readonly segments: Segment[] = [];
  private readonly estimates: Estimate[] = [];
  private readonly predictions: Prediction[] = []; // of the same windows, if they are adapted
  private readonly history: History | null;
  private readonly hop: number;
  private readonly pause: () => Promise<void>;
  private statistics: WindowStatistics | null;
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
    this.history = options.history ?? null;
    this.statistics = this.history?.empty() ?? null;
    this.hop = Math.round((options.hop_s ?? 0) * SAMPLE_RATE);
    this.pause = options.yield ?? (async () => {});
  }

  /** Process the next samples of the recording, at 16 kHz. */
  async push(block: Float32Array): Promise<StreamUpdate> {
    this.windower.push(block);
    this.loudness.push(block);
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

  /** Process the end of the recording; return the report, but not the file's. */
  async finish(): Promise<
    Omit<ReportFields, "recording" | "warnings" | "track" | "channels" | "gaps">
  > {
    const n = this.windower.nSamples;
    const closed = this.segmenter.push(await this.detector.finish());
    await this.judge(this.cut([...closed, ...this.segmenter.finish(n)]));
    const judged = this.judged();
    const { name, version, sha256, emotions, dimensions, certainty } = this.classifier.card;
    return {
      model: { name, version, sha256 },
      emotions,
      dimensionNames: dimensions,
      certainty,
      duration_s: n / SAMPLE_RATE,
      segments: this.segments,
      quality: this.segments.length ? this.meter.measure() : UNKNOWN,
      loudness: this.loudness.measure(),
      ...judged,
    };
  }

  /** Return the estimates, and what they were adapted to. */
  private judged(): Pick<ReportFields, "estimates" | "adaptation" | "statistics"> {
    const { estimates, predictions } = this;
    if (!this.history || !this.statistics) {
      return { estimates, adaptation: null, statistics: null };
    }
    const nRecordings = Number(this.statistics.nWindows > 0);
    const statistics = { ...this.statistics, nRecordings };
    const history = this.history.with(statistics);
    const judged = (probabilities: (of: Prediction) => readonly number[]) =>
      estimates.map(({ segment }, i) => {
        const { dimensions } = predictions[i];
        const { card } = this.classifier;
        return estimateOf(segment, card, probabilities(predictions[i]), dimensions);
      });
    return {
      estimates: history === this.history ? estimates : judged((of) => history.adapt(of)),
      adaptation: history.effect(
        statistics,
        judged(({ probabilities }) => probabilities),
      ),
      statistics,
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
      const prediction = await this.predict(signal);
      const estimate = this.estimate(segment, prediction);
      if (this.statistics && prediction.voice) {
        const { statistics, predictions } = this;
        predictions.push(prediction);
        this.statistics = withWindow(statistics, prediction.voice, samplesIn(segment));
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
    return this.estimate(window.segment, await this.predict(window.signal));
  }

  private predict(signal: Float32Array): Promise<Prediction> {
    return this.classifier.classify(signal, this.history !== null);
  }

  /** Return the estimate of a window by what is known before the recording. */
  private estimate(segment: Segment, prediction: Prediction): Estimate {
    const probabilities = this.history?.adapt(prediction) ?? prediction.probabilities;
    return estimateOf(segment, this.classifier.card, probabilities, prediction.dimensions);
  }
}
