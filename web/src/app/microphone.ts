/** The microphone as a stream of mono 16 kHz chunks. */

import { Resampler } from "../espressivo/audio/resample";
import { TIMEOUT_S, within } from "../espressivo/waits";
import captureUrl from "./capture.worklet.ts?worker&url";

const LONGEST_CLOSE_S = 2;

/** Reason why the microphone cannot be used. */
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

  private node: AudioWorkletNode | null = null;

  /**
   * Request the microphone and start.
   *
   * @param onChunk Callback, called with every chunk of mono samples at 16 kHz.
   * @param ended Callback, called when the microphone is unplugged or its permission
   *   withdrawn.
   * @throws MicrophoneError There is no microphone, or no permission.
   */
  static async open(
    onChunk: (chunk: Float32Array) => void,
    ended: () => void,
  ): Promise<Microphone> {
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    let media: MediaStream;
    try {
      // The model was trained on recordings without the processing of calls.
      media = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new MicrophoneError(problemOf((error as DOMException).name));
    }
    const context = new AudioContext();
    const microphone = new Microphone(context, media);
    try {
      const late = () => new MicrophoneError("busy");
      const started = context.audioWorklet.addModule(captureUrl);
      await within(started, { timeout_s: TIMEOUT_S }, late);
      await within(context.resume(), { timeout_s: TIMEOUT_S }, late);
    } catch (error) {
      await microphone.close();
      throw error;
    }
    const resampler = new Resampler(context.sampleRate);
    const node = new AudioWorkletNode(context, "espressivo-capture", {
      numberOfOutputs: 0,
    });
    microphone.node = node;
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) =>
      onChunk(resampler.push(data));
    context.createMediaStreamSource(media).connect(node);
    media.getAudioTracks()[0]?.addEventListener("ended", ended);
    return microphone;
  }

  /** Release the microphone, so that the browser's indicator disappears; the last chunk has come. */
  async close(): Promise<void> {
    for (const track of this.media.getTracks()) track.stop();
    const late = () => new MicrophoneError("busy");
    const closed = within(this.context.close(), { timeout_s: LONGEST_CLOSE_S }, late);
    await closed.catch(() => undefined); // what was recorded matters more
    // Chunks that were on their way arrive even after that, when the recording is at its end.
    if (this.node) this.node.port.onmessage = null;
  }
}

function problemOf(name: string): MicrophoneProblem {
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  return name === "NotReadableError" ? "busy" : "missing";
}
