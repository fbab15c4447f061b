/**
 * Where someone speaks: Silero VAD, then pure hysteresis to segments.
 *
 * As `espressivo/speech/detector.py` does it. Source: Silero VAD 6.2 (MIT).
 */

import type { Graph } from "./session";
import { SAMPLE_RATE, type Segment } from "./types";

/** Samples that one speech probability stands for (32 ms). */
export const FRAME = 512;

const CONTEXT = 64; // samples of the frame before, which the network sees again
// The network hears less speech in quiet recordings, and more noise as speech in loud
// ones; so every frame is brought to the level of the loudest speech of late.
const LEVEL = 0.1; // root mean square that the loudest frame gets
const DECAY_DB_S = 2.0; // how fast a loud frame is forgotten
const QUIETEST = 1e-6; // -120 dB: what is below is digital silence, and stays so
const KEPT = Math.exp(-(DECAY_DB_S / 20) * Math.log(10) * (FRAME / SAMPLE_RATE));

/** When a frame begins, continues or ends speech. */
export const SPEECH = {
  threshold: 0.5,
  release: 0.35,
  minSpeech: Math.round((0.256 * SAMPLE_RATE) / FRAME), // frames
  minPause: Math.round((0.384 * SAMPLE_RATE) / FRAME), // frames
  pad: Math.round(0.096 * SAMPLE_RATE), // samples
} as const;

/** Brings frames to the level of the loudest one up to them. */
export class Leveller {
  private loudest = QUIETEST;

  /**
   * Cut `signal` (context first) into frames and scale them.
   *
   * @returns Rows [frames, context + frame], one after the other.
   */
  frames(signal: Float32Array, nFrames: number): Float32Array {
    const rows = new Float32Array(nFrames * (CONTEXT + FRAME));
    for (let i = 0; i < nFrames; i++) {
      const from = i * FRAME;
      let power = 0;
      for (let j = from + CONTEXT; j < from + CONTEXT + FRAME; j++) {
        power += signal[j] * signal[j];
      }
      const level = Math.max(Math.sqrt(power / FRAME), QUIETEST);
      this.loudest = Math.max(level, this.loudest * KEPT, QUIETEST);
      const gain = Math.fround(LEVEL / this.loudest);
      const row = i * (CONTEXT + FRAME);
      for (let j = 0; j < CONTEXT + FRAME; j++) rows[row + j] = signal[from + j] * gain;
    }
    return rows;
  }
}

/** Speech probabilities of a signal that arrives in blocks of any size. */
export class SpeechDetector {
  private readonly leveller = new Leveller();
  private h = new Float32Array(128);
  private c = new Float32Array(128);
  // The context of the next frame, then the samples that do not fill one yet.
  private tail: Float32Array = new Float32Array(CONTEXT);

  constructor(private readonly vad: Graph) {}

  /** Return the probabilities of the frames that `block` completes. */
  async push(block: Float32Array): Promise<Float32Array> {
    const signal = new Float32Array(this.tail.length + block.length);
    signal.set(this.tail);
    signal.set(block, this.tail.length);
    const nFrames = Math.floor((signal.length - CONTEXT) / FRAME);
    this.tail = signal.slice(nFrames * FRAME);
    if (nFrames === 0) return new Float32Array(0);
    const frames = this.leveller.frames(signal, nFrames);
    const found = await this.vad.run(
      {
        input: { data: frames, dims: [nFrames, CONTEXT + FRAME] },
        h: { data: this.h, dims: [1, 1, 128] },
        c: { data: this.c, dims: [1, 1, 128] },
      },
      ["speech_probs", "hn", "cn"],
    );
    this.h = found["hn"];
    this.c = found["cn"];
    return found["speech_probs"];
  }

  /** Return the probability of the last, unfinished frame, if there is one. */
  async finish(): Promise<Float32Array> {
    const missing = CONTEXT + FRAME - this.tail.length;
    return missing === FRAME ? new Float32Array(0) : this.push(new Float32Array(missing));
  }
}

/** Hysteresis: speech probabilities, frame by frame, to segments. */
export class Segmenter {
  private n = 0; // frames seen
  private start: number | null = null; // first frame of the open segment
  private last = 0; // one past its last frame that is no pause

  /** The speech that goes on, to the end of its last frame that was not a pause. */
  get open(): Segment | null {
    if (this.start === null || this.last - this.start < SPEECH.minSpeech) return null;
    return { start: this.paddedStart(this.start), end: this.last * FRAME };
  }

  /** No segment yet to come begins before this sample. */
  get unsettledFrom(): number {
    return this.paddedStart(this.start ?? this.n);
  }

  /** Return the segments that these frames complete, oldest first. */
  push(probabilities: Iterable<number>): Segment[] {
    const segments: Segment[] = [];
    for (const p of probabilities) {
      if (this.start === null) {
        if (p >= SPEECH.threshold) {
          this.start = this.n;
          this.last = this.n + 1;
        }
      } else if (p >= SPEECH.release) {
        this.last = this.n + 1;
      } else if (this.n + 1 - this.last >= SPEECH.minPause) {
        segments.push(...this.close(this.start, Number.POSITIVE_INFINITY));
      }
      this.n += 1;
    }
    return segments;
  }

  /** Return the segment that the recording's end completes, if one is open. */
  finish(nSamples: number): Segment[] {
    return this.start === null ? [] : this.close(this.start, nSamples);
  }

  private close(start: number, limit: number): Segment[] {
    this.start = null;
    if (this.last - start < SPEECH.minSpeech) return [];
    const end = Math.min(this.last * FRAME + SPEECH.pad, limit);
    return [{ start: this.paddedStart(start), end }];
  }

  private paddedStart(frame: number): number {
    return Math.max(0, frame * FRAME - SPEECH.pad);
  }
}
