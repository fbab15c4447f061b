/**
 * Voice activity detection: Silero VAD, then hysteresis from probabilities to segments.
 *
 * The same as `espressivo/speech/detector.py`. Source: Silero VAD 6.2 (MIT).
 */

import type { Graph } from "./session";
import { SAMPLE_RATE, type Segment } from "./types";

/** Length of a frame in samples (32 ms); each has one speech probability. */
export const FRAME = 512;

const CONTEXT = 64; // samples of the previous frame, which the network takes as context
// The network misses speech in quiet recordings, and takes noise for speech in loud ones.
// Every frame is therefore scaled by the level of the loudest recent frame.
const LEVEL = 0.1; // RMS of the loudest frame after scaling
const DECAY_DB_S = 2.0; // decay of the loudest level, in dB per second
const QUIETEST = 1e-6; // -120 dB: frames below are digital silence and are not amplified further
const KEPT = Math.exp(-(DECAY_DB_S / 20) * Math.log(10) * (FRAME / SAMPLE_RATE));

/** Thresholds and durations of the hysteresis. */
export const SPEECH = {
  threshold: 0.5,
  release: 0.35,
  minSpeech: Math.round((0.256 * SAMPLE_RATE) / FRAME), // frames
  minPause: Math.round((0.384 * SAMPLE_RATE) / FRAME), // frames
  pad: Math.round(0.096 * SAMPLE_RATE), // samples
} as const;

/** Scaling of frames by the level of the loudest recent frame. */
export class Leveller {
  private loudest = QUIETEST;

  /**
   * Cut `signal` (context first) into frames and scale them.
   *
   * @returns Frames [frames, context + frame], in row-major order.
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

/** Speech detector for a signal that arrives in blocks of any size. */
export class SpeechDetector {
  private readonly leveller = new Leveller();
  private h = new Float32Array(128);
  private c = new Float32Array(128);
  // The context of the next frame, followed by its first samples.
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

/** Hysteresis that turns speech probabilities of frames into segments. */
export class Segmenter {
  private n = 0; // frames seen
  private start: number | null = null; // first frame of the open segment
  private last = 0; // one past the last frame of speech

  /** Open segment up to its last frame of speech; null if there is none of `minSpeech`. */
  get open(): Segment | null {
    if (this.start === null || this.last - this.start < SPEECH.minSpeech) return null;
    return { start: this.paddedStart(this.start), end: this.last * FRAME };
  }

  /** Earliest possible start of the next segment, in samples. */
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
