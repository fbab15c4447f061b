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
// Every frame is therefore scaled by the peak level so far. It decays slowly, but is
// limited by what came lately, so that a beep does not hide the quiet speech after it.
const LEVEL = 0.1; // RMS of the peak after scaling
const DECAY_DB_S = 2.0; // decay of the peak level, in dB per second
// The peak is at most 45 dB above the loudest of SHORT frames, and at most 15 dB above
// it or as loud as the loudest of LONG frames. It is at least 15 dB above the quietest
// of those: amplified steady noise would hide the first speech after it.
const SHORT = 6;
const LONG = 30;
const FAR_ABOVE = 10 ** (45 / 20);
const ABOVE = 10 ** (15 / 20);
const LOUDEST = 1e3; // peak before the first frame, and after digital silence
const QUIETEST = 1e-7; // -140 dB; what is below is digital silence
const KEPT = Math.exp(-(DECAY_DB_S / 20) * Math.log(10) * (FRAME / SAMPLE_RATE));

// Orthonormal cosines of 0 to 42 Hz (DCT-II): an offset, its drift, and rumble.
const SLOW = Array.from({ length: 4 }, (_, k) =>
  Float32Array.from({ length: CONTEXT + FRAME }, (_, i) => {
    const n = CONTEXT + FRAME;
    return Math.sqrt((k ? 2 : 1) / n) * Math.cos((Math.PI / n) * k * (i + 0.5));
  }),
);

/** Thresholds and durations of the hysteresis. */
export const SPEECH = {
  threshold: 0.5,
  release: 0.35,
  minSpeech: Math.round((0.256 * SAMPLE_RATE) / FRAME), // frames
  minPause: Math.round((0.384 * SAMPLE_RATE) / FRAME), // frames
  pad: Math.round(0.096 * SAMPLE_RATE), // samples
} as const;

/** Frames without offset, scaled by the peak level so far. */
export class Leveller {
  private loudest = LOUDEST;
  private readonly recent = new Float64Array(LONG).fill(QUIETEST);

  /**
   * Cut `signal` (context first) into frames, remove their offset and scale them.
   *
   * @returns Frames [frames, context + frame], in row-major order.
   */
  frames(signal: Float32Array, nFrames: number): Float32Array {
    const width = CONTEXT + FRAME;
    const rows = new Float32Array(nFrames * width);
    for (let i = 0; i < nFrames; i++) {
      const row = rows.subarray(i * width, (i + 1) * width);
      row.set(signal.subarray(i * FRAME, i * FRAME + width));
      const amounts = SLOW.map((wave) => row.reduce((sum, x, j) => sum + x * wave[j], 0));
      let power = 0;
      for (let j = 0; j < width; j++) {
        for (let k = 0; k < SLOW.length; k++) row[j] -= amounts[k] * SLOW[k][j];
        if (j >= CONTEXT) power += row[j] * row[j];
      }
      const gain = Math.fround(LEVEL / this.peak(Math.sqrt(power / FRAME)));
      for (let j = 0; j < width; j++) row[j] *= gain;
    }
    return rows;
  }

  /** Return the peak level at the next frame, decaying and limited. */
  private peak(rms: number): number {
    const level = Math.max(rms, QUIETEST);
    this.recent.copyWithin(0, 1);
    this.recent[LONG - 1] = level;
    const short = Math.max(...this.recent.subarray(LONG - SHORT));
    if (short <= QUIETEST) {
      this.recent.fill(QUIETEST);
      this.loudest = LOUDEST;
    } else {
      const long = Math.max(...this.recent);
      const limit = Math.min(short * FAR_ABOVE, Math.max(short * ABOVE, long));
      const least = Math.max(level, Math.min(...this.recent) * ABOVE);
      this.loudest = Math.max(least, Math.min(this.loudest * KEPT, limit));
    }
    return this.loudest;
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
