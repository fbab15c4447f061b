/** One pass over one recording: blocks -> speech -> windows -> estimates. */

import { type Answer, type Classifier, traits } from "./classifier";
import type { Graph } from "./graphs";
import type { ProfileUse, ReportFields } from "./report";
import { Segmenter, SpeechDetector } from "./speech";
import { type Estimate, type Heard, SAMPLE_RATE, type Segment, samplesIn } from "./types";
import { unheard, type Voice, withWindow } from "./voice";
import { type Window, Windower } from "./windows";

/** Whose voice to judge by, and what is known of it. */
export interface KnownVoice {
  readonly speaker: string;
  readonly voice: Voice;
}

export interface HearingOptions {
  readonly known?: KnownVoice | null;
  /**
   * How often what is being said now is estimated, in seconds; 0: never. It costs time,
   * and changes nothing in the report.
   */
  readonly hop_s?: number;
  /** Let others have their turn; throws when the work is no longer wanted. */
  readonly yield?: () => Promise<void>;
}

const LEAST_PROVISIONAL = SAMPLE_RATE; // less than a second says little

export class Hearing {
  private readonly detector: SpeechDetector;
  private readonly segmenter = new Segmenter();
  private readonly windower: Windower;
  private readonly segments: Segment[] = [];
  private readonly estimates: Estimate[] = [];
  private readonly without: Estimate[] = [];
  private readonly known: KnownVoice | null;
  private readonly hop: number;
  private readonly pause: () => Promise<void>;
  private voice: Voice | null;
  private nextPeek = 0;

  constructor(
    private readonly classifier: Classifier,
    vad: Graph,
    options: HearingOptions = {},
  ) {
    const { card } = classifier;
    this.detector = new SpeechDetector(vad);
    this.windower = new Windower(
      Math.round(card.window_s * SAMPLE_RATE),
      Math.round(card.min_s * SAMPLE_RATE),
    );
    this.known = options.known ?? null;
    this.voice = this.known && unheard(this.known.voice.mean.length);
    this.hop = Math.round((options.hop_s ?? 0) * SAMPLE_RATE);
    this.pause = options.yield ?? (async () => {});
  }

  /** Take in the recording's next samples, at 16 kHz. */
  async push(block: Float32Array): Promise<Heard> {
    this.windower.push(block);
    const windows = this.cut(this.segmenter.push(await this.detector.push(block)));
    const open = this.segmenter.open;
    if (open) windows.push(...this.windower.cutOpen(open));
    const estimates = await this.judge(windows);
    const provisional = open && (await this.peek(open));
    this.windower.forget(this.segmenter.unsettledFrom);
    const duration_s = this.windower.nSamples / SAMPLE_RATE;
    return { estimates, provisional, duration_s, speaking: open !== null };
  }

  /** Take in the recording's end; return the rest of what a report holds. */
  async finish(): Promise<
    Omit<ReportFields, "recording" | "model" | "emotions" | "warnings">
  > {
    const n = this.windower.nSamples;
    const closed = this.segmenter.push(await this.detector.finish());
    await this.judge(this.cut([...closed, ...this.segmenter.finish(n)]));
    if (this.voice?.nWindows) this.voice = { ...this.voice, nRecordings: 1 };
    return {
      duration_s: n / SAMPLE_RATE,
      segments: this.segments,
      estimates: this.estimates,
      profile: await this.profileUse(),
      voice: this.voice,
    };
  }

  private cut(segments: readonly Segment[]): Window[] {
    return segments.flatMap(({ start, end }) => {
      // The last frame may reach beyond the recording, by zeros.
      const segment = { start, end: Math.min(end, this.windower.nSamples) };
      this.segments.push(segment);
      return this.windower.cutClosed(segment);
    });
  }

  private async judge(windows: readonly Window[]): Promise<Estimate[]> {
    const estimates: Estimate[] = [];
    for (const { segment, signal } of windows) {
      await this.pause();
      const answer = await this.classifier.classify(signal, this.known !== null);
      const estimate = { segment, probabilities: await this.personal(answer) };
      if (this.voice) {
        this.without.push({ segment, probabilities: answer.probabilities });
        this.voice = withWindow(this.voice, traits(answer), samplesIn(segment));
      }
      this.estimates.push(estimate);
      estimates.push(estimate);
    }
    return estimates;
  }

  /** Estimate what is being said now, if it is time to. */
  private async peek(open: Segment): Promise<Estimate | null> {
    if (!this.hop || this.windower.nSamples < this.nextPeek) return null;
    const window = this.windower.peek(open, LEAST_PROVISIONAL);
    if (!window) return null;
    this.nextPeek = this.windower.nSamples + this.hop;
    const answer = await this.classifier.classify(window.signal, this.known !== null);
    return { segment: window.segment, probabilities: await this.personal(answer) };
  }

  private async personal(answer: Answer): Promise<readonly number[]> {
    const { personal } = this.classifier;
    if (!this.known || !personal || !answer.embedding) return answer.probabilities;
    return personal.answer(answer.embedding, answer.probabilities, this.known.voice);
  }

  private async profileUse(): Promise<ProfileUse | null> {
    const { personal } = this.classifier;
    if (!this.known || !this.voice || !personal) return null;
    const { speaker, voice } = this.known;
    const both = this.voice.nWindows && voice.nWindows;
    return {
      speaker,
      nRecordings: voice.nRecordings,
      nWindows: voice.nWindows,
      speech_s: voice.nSamples / SAMPLE_RATE,
      trust: voice.nWindows ? await personal.trust(voice) : 0,
      distance: both ? await personal.distance(this.voice, voice) : null,
      distanceLimit: personal.card.distanceLimit,
      without: this.without,
    };
  }
}
