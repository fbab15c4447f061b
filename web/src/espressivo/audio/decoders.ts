/**
 * Decoders in WebAssembly, for where the browser's own cannot decode: libopus, mpg123,
 * libFLAC and libvorbis, as Python's FFmpeg has them too or equals them. Fetched at need.
 */

import { FLACDecoder } from "@wasm-audio-decoders/flac";
import { OggVorbisDecoder } from "@wasm-audio-decoders/ogg-vorbis";
import { MPEGDecoder } from "mpg123-decoder";
import { OpusDecoder } from "opus-decoder";
import { AacDecoder } from "./aac/decoder";

/** Samples of one packet, one array per channel, full scale 1. */
export interface Decoded {
  readonly rate: number;
  readonly channels: Float32Array[];
}

/** Decoder of the packets of one track. */
export interface PacketDecoder {
  /**
   * Decode the next packet.
   *
   * @throws Error The packet is damaged.
   */
  decode(packet: Uint8Array): Promise<Decoded>;
  close(): void;
}

/** Codecs of these decoders, as WebCodecs name them. */
export type OwnCodec = "opus" | "mp3" | "flac" | "vorbis" | "aac";

/** What these packages give for packets. */
interface Found {
  readonly channelData: Float32Array[];
  readonly sampleRate: number;
  readonly samplesDecoded: number;
  readonly errors: readonly { readonly message: string }[];
}

const OPENERS: Record<OwnCodec, (config: AudioDecoderConfig) => Promise<PacketDecoder>> = {
  opus,
  mp3,
  flac,
  vorbis,
  aac,
};

/** Open a decoder for a track. */
export function openDecoder(
  codec: OwnCodec,
  config: AudioDecoderConfig,
): Promise<PacketDecoder> {
  return OPENERS[codec](config);
}

/** Source of the header: RFC 7845, section 5.1. */
async function opus(config: AudioDecoderConfig): Promise<PacketDecoder> {
  const header = headerOf(config);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const channels = header[9] ?? config.numberOfChannels;
  const isMapped = (header[18] ?? 0) > 0;
  const streams = isMapped && {
    streamCount: header[19],
    coupledStreamCount: header[20],
    channelMappingTable: [...header.subarray(21, 21 + channels)],
  };
  const decoder = new OpusDecoder({ channels, ...streams });
  await decoder.ready;
  const gain_db = header.length > 17 ? view.getInt16(16, true) / 256 : 0;
  const gain = 10 ** (gain_db / 20);
  return {
    decode: async (packet) => {
      const found = decoded(decoder.decodeFrame(packet));
      if (gain !== 1) for (const each of found.channels) scale(each, gain);
      return found;
    },
    close: () => decoder.free(),
  };
}

async function mp3({ numberOfChannels }: AudioDecoderConfig): Promise<PacketDecoder> {
  const decoder = new MPEGDecoder({ enableGapless: false }); // trimmed by our own rules
  await decoder.ready;
  return {
    decode: async (packet) => {
      const { rate, channels } = decoded(decoder.decode(packet));
      // It gives two channels of a mono file.
      return { rate, channels: channels.slice(0, numberOfChannels) };
    },
    close: () => decoder.free(),
  };
}

async function flac({ sampleRate }: AudioDecoderConfig): Promise<PacketDecoder> {
  // It is not given the header of the file, after which it crashed on some frames.
  const decoder = new FLACDecoder();
  await decoder.ready;
  return {
    decode: async (packet) => {
      const found = await decoder.decodeFrames([packet]);
      const { channels, rate } = decoded(found);
      // It divides by the largest sample; Python and FFmpeg divide by one more.
      const most = 2 ** (found.bitDepth - 1);
      for (const each of channels) scale(each, (most - 1) / most);
      return { channels, rate: rate || sampleRate };
    },
    close: () => decoder.free(),
  };
}

async function vorbis(config: AudioDecoderConfig): Promise<PacketDecoder> {
  const decoder = new OggVorbisDecoder();
  await decoder.ready;
  const [first, , setup] = laced(headerOf(config));
  type Pages = Parameters<typeof decoder.decodeOggPages>[0];
  const pages = (...each: object[]) => decoder.decodeOggPages(each as Pages);
  const head = { data: first, codecFrames: [] };
  let begun = false;
  return {
    decode: async (packet) => {
      const frame = { data: packet, header: { vorbisSetup: setup } };
      const page = { data: new Uint8Array(1), codecFrames: [frame] };
      const found = await (begun ? pages(page) : pages(head, page));
      begun = true;
      return decoded(found);
    },
    close: () => decoder.free(),
  };
}

async function aac(config: AudioDecoderConfig): Promise<PacketDecoder> {
  const decoder = new AacDecoder(headerOf(config));
  return { decode: async (packet) => decoder.decode(packet), close: () => {} };
}

function decoded({ channelData, sampleRate, errors }: Found): Decoded {
  if (errors.length) throw new Error(errors[0].message);
  return { rate: sampleRate, channels: channelData };
}

/** Return the three headers of Vorbis in Xiph's lacing (Vorbis I, section A.1.1 of RFC 5215). */
function laced(description: Uint8Array): Uint8Array[] {
  const sizes: number[] = [];
  let at = 1;
  while (sizes.length < description[0]) {
    let size = 0;
    while (description[at] === 255) size += description[at++];
    sizes.push(size + description[at++]);
  }
  sizes.push(description.length); // the last takes what is left
  return sizes.map((size) => {
    at += size;
    return description.subarray(at - size, at);
  });
}

function headerOf({ description }: AudioDecoderConfig): Uint8Array {
  if (!description) return new Uint8Array(0);
  return ArrayBuffer.isView(description)
    ? new Uint8Array(description.buffer, description.byteOffset, description.byteLength)
    : new Uint8Array(description);
}

function scale(signal: Float32Array, gain: number): void {
  for (let i = 0; i < signal.length; i++) signal[i] *= gain;
}
