/** Audio worklet that posts the microphone's samples as the mean over channels. */

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: unknown): void;

const CHUNK = 2048; // samples per message

class Capture extends AudioWorkletProcessor {
  private chunk = new Float32Array(CHUNK);
  private n = 0;

  process([channels]: Float32Array[][]): boolean {
    const length = channels?.[0]?.length ?? 0;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.chunk[this.n++] = sum / channels.length;
      if (this.n === CHUNK) {
        this.port.postMessage(this.chunk, [this.chunk.buffer]);
        this.chunk = new Float32Array(CHUNK);
        this.n = 0;
      }
    }
    return true;
  }
}

registerProcessor("espressivo-capture", Capture);
