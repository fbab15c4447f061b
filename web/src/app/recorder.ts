/** Live recording: level, time, provisional estimate and the timeline so far. */

import type {
  Analyzer,
  Distribution,
  Estimate,
  Report,
  Stream,
  StreamOptions,
  StreamUpdate,
} from "../espressivo";
import { SAMPLE_RATE } from "../espressivo";
import { drawBars } from "./bars";
import { announce, dot, element, say, show } from "./elements";
import { Microphone } from "./microphone";
import { Strip } from "./strip";
import { WavRecording } from "./wav";
import { clock, likeliest, percent } from "./words";

const HOP_S = 1;
const QUIETEST_DB = -60;

export class Recorder {
  private readonly wav = new WavRecording();
  private readonly strip: Strip;
  private waiting: Float32Array[] = [];
  private doubt = ""; // what the newest estimate is not sure between
  private busy: Promise<void> | null = null;
  private readonly ended = new AbortController();
  private microphone: Microphone | null = null;

  private constructor(
    private readonly analyzer: Analyzer,
    private readonly stream: Stream,
    private readonly fail: (error: unknown) => void,
  ) {
    this.strip = new Strip(element("live-timeline"), analyzer);
  }

  /**
   * Start the recording.
   *
   * @param ended Callback, called when the microphone is disconnected.
   * @param fail Callback, called when the analysis fails.
   * @throws MicrophoneError There is no microphone, or no permission.
   */
  static async start(
    analyzer: Analyzer,
    options: StreamOptions,
    ended: () => void,
    fail: (error: unknown) => void,
  ): Promise<Recorder> {
    const stream = analyzer.stream({ ...options, hop_s: HOP_S });
    const recorder = new Recorder(analyzer, stream, fail);
    try {
      recorder.microphone = await Microphone.open((chunk) => recorder.push(chunk), ended);
    } catch (error) {
      stream.cancel();
      throw error;
    }
    element("now").textContent = "Say something…";
    element("now-note").textContent = "";
    drawBars(
      element("live-bars"),
      Object.fromEntries(analyzer.card.emotions.map((each) => [each, 0])) as Distribution,
      analyzer.card.certainty,
    );
    show("live", true);
    say("Recording. Nothing is sent anywhere.");
    return recorder;
  }

  /** Stop, and return the recording and its report. */
  async stop(): Promise<{ report: Report; sound: Blob }> {
    await this.microphone?.close();
    this.ended.abort(); // of the rest
    while (this.busy) await this.busy;
    const report = await this.stream.finish();
    return { report, sound: this.wav.toBlob() };
  }

  /** Stop, and discard the recording. */
  async discard(): Promise<void> {
    this.stream.cancel();
    this.waiting = [];
    await this.microphone?.close();
  }

  private push(chunk: Float32Array): void {
    this.wav.push(chunk);
    this.waiting.push(chunk);
    element<HTMLMeterElement>("level").value = loudness(chunk);
    element("elapsed").textContent = clock(this.wav.nSamples / SAMPLE_RATE);
    // On a slow device chunks queue up, and are sent together.
    this.busy ??= this.work();
  }

  private async work(): Promise<void> {
    try {
      while (this.waiting.length) {
        const began_ms = performance.now();
        this.tell(await this.stream.push(this.next()));
        await this.rest(performance.now() - began_ms);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.busy = null;
    }
  }

  /** Wait as long as the work took: a phone that computes all the time becomes hot. */
  private async rest(ms: number): Promise<void> {
    const { signal } = this.ended;
    if (signal.aborted) return;
    await new Promise((resolve) => {
      signal.addEventListener("abort", resolve, { once: true });
      setTimeout(resolve, ms);
    });
  }

  private next(): Float32Array {
    const chunk = new Float32Array(this.waiting.reduce((n, each) => n + each.length, 0));
    let at = 0;
    for (const each of this.waiting) {
      chunk.set(each, at);
      at += each.length;
    }
    this.waiting = [];
    return chunk;
  }

  private tell({ estimates, provisional, duration_s, speaking }: StreamUpdate): void {
    this.strip.add(estimates, provisional, duration_s, null);
    const completed = estimates.at(-1);
    // Only completed windows are announced: provisional ones change too often to be read.
    if (completed) {
      announce(
        this.analyzer.isUncertain(completed)
          ? `Not sure: ${likeliest(completed.probabilities).join(" or ")}.`
          : `Sounded like ${completed.emotion}.`,
      );
    }
    const newest = provisional ?? completed;
    if (newest) this.show(newest);
    const heard = speaking ? "someone speaks" : "a pause";
    element("now-note").textContent = this.doubt ? `${this.doubt}; ${heard}` : heard;
  }

  private show(newest: Estimate): void {
    const { emotion, probabilities } = newest;
    const unsure = this.analyzer.isUncertain(newest);
    const named = unsure ? likeliest(probabilities) : [emotion];
    const share = percent(probabilities[emotion]);
    // Of one line, so that nothing on the page moves while someone speaks.
    element("now").replaceChildren(
      ...named.map(dot),
      unsure ? "Not sure" : `${named[0]}, ${share}`,
    );
    this.doubt = unsure ? named.join(" or ") : "";
    drawBars(element("live-bars"), probabilities, this.analyzer.card.certainty);
  }
}

/** Return the level of a chunk from 0 (-60 dB or less) to 1 (full scale). */
function loudness(chunk: Float32Array): number {
  const power = chunk.reduce((sum, x) => sum + x * x, 0) / Math.max(1, chunk.length);
  const db = 10 * Math.log10(Math.max(power, 1e-12));
  return Math.min(1, Math.max(0, 1 - db / QUIETEST_DB));
}
