/** What is decoded, and how long it may take. */

import type { InputAudioTrack } from "mediabunny";
import { AudioError } from "../errors";
import { type Limits, within } from "../waits";

/** Time after which a decoder gives what it gives from the start, in seconds. */
export const PRE_ROLL_S = 0.5;

const PRE_SKIP = 10; // where an Opus header holds it, two bytes

export interface Source {
  readonly track: InputAudioTrack;
  /** Name of the recording in messages. */
  readonly name: string;
  readonly limits: Limits;
  /** Whether packets have time stamps of their own. */
  readonly isStamped: boolean;
  readonly isMp4: boolean;
  /** Time that a decoder gives before the sound, which stamps include; null if unknown. */
  readonly delay_s: number | null;
  /** Padding after the sound, in seconds. */
  readonly padding_s: number;
  /** Time stamps that overrule those of packets, by their index. */
  readonly stamps_s: ReadonlyMap<number, number>;
  /** End of the sound within the last packet, in seconds; null where it is not stated. */
  readonly end_s: number | null;
}

/** Wait for something of the decoder or of the file, within limits. */
export function waited<T>(
  { name, limits }: Pick<Source, "name" | "limits">,
  promise: Promise<T>,
): Promise<T> {
  const silent = () =>
    new AudioError(
      `${name}: the browser's decoder has given nothing for ${limits.timeout_s} s; ` +
        "convert the recording to wav or flac",
    );
  return within(promise, limits, silent);
}

/** Return the number of samples before the sound, as an Opus header states it. */
export function preSkipOf({ codec, description }: AudioDecoderConfig): number {
  const header = codec === "opus" && description ? viewOf(description) : null;
  return header && header.byteLength >= PRE_SKIP + 2 ? header.getUint16(PRE_SKIP, true) : 0;
}

/** Set the pre-skip of an Opus header to 0, since browsers differ in what they skip. */
export function withoutPreSkip(config: AudioDecoderConfig): AudioDecoderConfig {
  if (!preSkipOf(config) || !config.description) return config;
  const { buffer, byteOffset, byteLength } = viewOf(config.description);
  const header = new Uint8Array(buffer, byteOffset, byteLength).slice();
  header[PRE_SKIP] = header[PRE_SKIP + 1] = 0;
  return { ...config, description: header };
}

function viewOf(description: AllowSharedBufferSource): DataView {
  return ArrayBuffer.isView(description)
    ? new DataView(description.buffer, description.byteOffset, description.byteLength)
    : new DataView(description);
}
