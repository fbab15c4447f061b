/** The recording as a WAV file: 16 kHz, mono, 16 bit. */

import { SAMPLE_RATE } from "../espressivo";

export class WavRecording {
  // Every 30 s samples move to a Blob, which browsers keep on disk.
  private done = new Blob([]);
  private parts: Int16Array<ArrayBuffer>[] = [];
  private nWaiting = 0;
  nSamples = 0;

  push(chunk: Float32Array): void {
    const part = new Int16Array(chunk.length);
    for (let i = 0; i < chunk.length; i++) {
      part[i] = Math.round(32767 * Math.max(-1, Math.min(1, chunk[i])));
    }
    this.parts.push(part);
    this.nSamples += chunk.length;
    this.nWaiting += chunk.length;
    if (this.nWaiting >= 30 * SAMPLE_RATE) this.settle();
  }

  toBlob(): Blob {
    this.settle();
    return new Blob([header(2 * this.nSamples), this.done], { type: "audio/wav" });
  }

  private settle(): void {
    this.done = new Blob([this.done, ...this.parts]);
    this.parts = [];
    this.nWaiting = 0;
  }
}

/** Source: Multimedia Programming Interface and Data Specifications 1.0 (1991), WAVE. */
function header(nBytes: number): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at: number, letters: string) => {
    for (let i = 0; i < letters.length; i++) view.setUint8(at + i, letters.charCodeAt(i));
  };
  text(0, "RIFF");
  view.setUint32(4, 36 + nBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, SAMPLE_RATE, true);
  view.setUint32(28, 2 * SAMPLE_RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, nBytes, true);
  return view.buffer;
}
