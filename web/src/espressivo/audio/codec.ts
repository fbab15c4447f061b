/**
 * What decodes packets: WebCodecs where they are exact, or else decoders in WebAssembly,
 * which keep to the same rules.
 */

import { type AudioSample, type EncodedPacket, AudioSample as Sample } from "mediabunny";
import type { OwnCodec, PacketDecoder } from "./decoders";
import { pieceOf } from "./pieces";

/** What a decoder gives: one array per channel. */
export interface Sound {
  readonly rate: number;
  readonly channels: readonly Float32Array[];
}

export interface Answers {
  /** Called with what packets hold, in order; the first of Vorbis holds nothing. */
  readonly output: (sound: Sound) => void;
  /** Called when a packet is damaged, which closes the codec. */
  readonly error: (error: Error) => void;
  /** Called when fewer packets wait. */
  readonly dequeue: () => void;
}

/** A decoder of one track. */
export interface Codec {
  /** Number of packets that wait. */
  readonly nWaiting: number;
  decode(packet: EncodedPacket): void;
  /** Wait for all packets; the next one begins anew. */
  flush(): Promise<void>;
  close(): void;
}

export type OpenCodec = (config: AudioDecoderConfig, answers: Answers) => Codec;

// Of the browsers that were tried, Chromium's decoders alone keep every sample: Firefox's
// (153) lose some after holes and in MP3 files put together, and WebKitGTK's (2.50) crash the
// page on Opus. What they support says nothing of that, and Chromium alone has this.
const isExact = () => "userAgentData" in (globalThis.navigator ?? {});
// Of these, ours decodes the core only.
const HIGH_EFFICIENCY = /^mp4a\.40\.0?(5|29)$/;

/** Return what decodes a track; null if nothing does. */
export async function codecOf(config: AudioDecoderConfig): Promise<OpenCodec | null> {
  const own: OpenCodec | null = ownCodecOf(config)
    ? (...given) => new OwnDecoder(...given)
    : null;
  if (own && !isExact() && !HIGH_EFFICIENCY.test(config.codec)) return own;
  return (await isInBrowser(config)) ? (...given) => new WebCodec(...given) : own;
}

function ownCodecOf({ codec }: AudioDecoderConfig): OwnCodec | null {
  if (/^mp4a\.(40\.0?(2|5|29)|67)$/.test(codec)) return "aac";
  const known: OwnCodec[] = ["opus", "mp3", "flac", "vorbis"];
  return known.find((each) => each === codec) ?? null;
}

/** Return whether a track can be decoded; samples without compression always can. */
export async function isDecodable(config: AudioDecoderConfig | null): Promise<boolean> {
  return config !== null && (isUncompressed(config) || (await codecOf(config)) !== null);
}

export function isUncompressed({ codec }: AudioDecoderConfig): boolean {
  return /^(pcm|ulaw|alaw)/.test(codec);
}

async function isInBrowser(config: AudioDecoderConfig): Promise<boolean> {
  if (typeof AudioDecoder === "undefined") return false;
  return (await AudioDecoder.isConfigSupported(config)).supported === true;
}

class WebCodec implements Codec {
  private readonly decoder: AudioDecoder;

  constructor(config: AudioDecoderConfig, { output, error, dequeue }: Answers) {
    this.decoder = new AudioDecoder({ output: (data) => output(soundOf(data)), error });
    this.decoder.ondequeue = dequeue;
    this.decoder.configure(config);
  }

  get nWaiting(): number {
    return this.decoder.decodeQueueSize;
  }

  decode(packet: EncodedPacket): void {
    this.decoder.decode(packet.toEncodedAudioChunk());
  }

  flush(): Promise<void> {
    return this.decoder.flush();
  }

  close(): void {
    if (this.decoder.state !== "closed") this.decoder.close();
  }
}

/** A decoder in WebAssembly. */
class OwnDecoder implements Codec {
  nWaiting = 0;
  private isClosed = false;
  private work: Promise<void> = Promise.resolve();
  private opened: Promise<PacketDecoder> | null = null;

  constructor(
    private readonly config: AudioDecoderConfig,
    private readonly answers: Answers,
  ) {}

  decode(packet: EncodedPacket): void {
    this.nWaiting += 1;
    this.work = this.work.then(() => this.decoded(packet));
  }

  flush(): Promise<void> {
    return this.work.then(() => this.end());
  }

  close(): void {
    this.isClosed = true;
    void this.work.then(() => this.end());
  }

  private async decoded(packet: EncodedPacket): Promise<void> {
    if (this.isClosed) return;
    try {
      this.opened ??= open(this.config);
      const sound = await (await this.opened).decode(packet.data);
      this.nWaiting -= 1;
      if (sound.channels[0]?.length) this.answers.output(sound);
      this.answers.dequeue();
    } catch (error) {
      this.close();
      this.answers.error(error as Error);
    }
  }

  private async end(): Promise<void> {
    const decoder = await this.opened?.catch(() => null);
    this.opened = null;
    try {
      decoder?.close();
    } catch {
      // A damaged packet may have left it unable to free its memory.
    }
  }
}

async function open(config: AudioDecoderConfig): Promise<PacketDecoder> {
  const { openDecoder } = await import("./decoders");
  return openDecoder(ownCodecOf(config) as OwnCodec, config);
}

function soundOf(data: AudioData): Sound {
  if (!data.numberOfFrames) {
    data.close();
    return { rate: data.sampleRate, channels: [new Float32Array(0)] };
  }
  const sample: AudioSample = new Sample(data);
  const { rate, channels } = pieceOf(sample, 0);
  sample.close();
  return { rate, channels };
}
