/** The microphone as a stream of mono 16 kHz chunks. */

import { Resampler } from "../espressivo/resample";
import captureUrl from "./capture.worklet.ts?worker&url";

/** Why there is no sound from a microphone. */
export type MicrophoneProblem = "refused" | "missing" | "insecure" | "busy";

export class MicrophoneError extends Error {
  constructor(readonly problem: MicrophoneProblem) {
    super(problem);
  }
}

export class Microphone {
  private constructor(
    private readonly context: AudioContext,
    private readonly media: MediaStream,
  ) {}

  /**
   * Ask for the microphone and begin.
   *
   * @param hear Called with every chunk.
   * @param ended Called when it is gone: unplugged, or taken back by the user.
   * @throws MicrophoneError It cannot be had.
   */
  static async open(
    hear: (chunk: Float32Array) => void,
    ended: () => void,
  ): Promise<Microphone> {
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    let media: MediaStream;
    try {
      // What a browser does to make calls pleasant is not what the model learned from.
      media = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new MicrophoneError(problemOf((error as DOMException).name));
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule(captureUrl);
    await context.resume();
    const resampler = new Resampler(context.sampleRate);
    const node = new AudioWorkletNode(context, "espressivo-capture", {
      numberOfOutputs: 0,
    });
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) =>
      hear(resampler.push(data));
    context.createMediaStreamSource(media).connect(node);
    media.getAudioTracks()[0]?.addEventListener("ended", ended);
    return new Microphone(context, media);
  }

  /** Let go of it, so that the browser's sign goes out. */
  async close(): Promise<void> {
    for (const track of this.media.getTracks()) track.stop();
    await this.context.close();
  }
}

function problemOf(name: string): MicrophoneProblem {
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  return name === "NotReadableError" ? "busy" : "missing";
}
