/**
 * Decoder of AAC (Low Complexity), the codec of most phones' recordings, in plain code,
 * since those that can be had in WebAssembly are under the GPL.
 *
 * Of High Efficiency AAC it decodes the core, which is the lower part of the spectrum.
 * Source: ISO/IEC 14496-3, section 4.4.2; where that leaves a choice (noise), as FFmpeg.
 */

import { readChannel, readWindows } from "./channel";
import { type AacConfig, Bits, readAdts, readConfig } from "./config";
import { type Channel, joinStereo, type Noise, shapeInTime } from "./spectrum";
import { Synthesis } from "./synthesis";

const [SINGLE, PAIR, COUPLING, LOW, STREAM, PROGRAM, FILL, END] = [0, 1, 2, 3, 4, 5, 6, 7];
// Which channel of the elements comes where in FFmpeg's order: left, right, centre, low, ...
const ORDERS: Record<number, number[]> = {
  3: [1, 2, 0],
  4: [1, 2, 0, 3],
  5: [1, 2, 0, 3, 4],
  6: [1, 2, 0, 5, 3, 4],
};

export class AacDecoder {
  private readonly config: AacConfig | null;
  private readonly noise: Noise = { state: 0x1f2e3d4c };
  private readonly syntheses: Synthesis[] = [];

  /**
   * @param description AudioSpecificConfig; empty where packets have ADTS headers.
   * @throws Error It is not of Low Complexity.
   */
  constructor(description: Uint8Array) {
    this.config = description.length ? readConfig(description) : null;
  }

  /**
   * Decode a packet: 1024 samples a channel, full scale 1.
   *
   * @throws Error It is damaged, or of another kind.
   */
  decode(packet: Uint8Array): { rate: number; channels: Float32Array[] } {
    const [config, frame] = this.config ? [this.config, packet] : readAdts(packet);
    const found = this.elements(new Bits(frame), config.rateIndex);
    if (found.length === 0) throw new Error("an AAC packet holds no sound");
    const channels = found.map((channel, i) => {
      shapeInTime(channel);
      this.syntheses[i] ??= new Synthesis();
      return this.syntheses[i].frame(channel);
    });
    const order = ORDERS[config.layout];
    const isOrdered = order?.length === channels.length;
    return {
      rate: config.rate,
      channels: isOrdered ? order.map((i) => channels[i]) : channels,
    };
  }

  private elements(bits: Bits, rateIndex: number): Channel[] {
    const channels: Channel[] = [];
    while (bits.left >= 3) {
      const kind = bits.read(3);
      if (kind === END) break;
      if (kind === SINGLE || kind === LOW) {
        bits.skip(4);
        channels.push(readChannel(bits, null, rateIndex, this.noise));
      } else if (kind === PAIR) channels.push(...readPair(bits, rateIndex, this.noise));
      else if (kind === STREAM) skipStream(bits);
      else if (kind === PROGRAM) skipProgram(bits);
      else if (kind === FILL) skipFill(bits);
      else if (kind === COUPLING) throw new Error("AAC with coupled channels is unknown");
    }
    return channels;
  }
}

function readPair(bits: Bits, rateIndex: number, noise: Noise): Channel[] {
  bits.skip(4);
  const shared = bits.flag() ? readWindows(bits, rateIndex) : null;
  const n = shared ? shared.groups.length * shared.nBands : 0;
  const coded = shared ? bits.read(2) : 0; // 0: none, 1: by band, 2: all
  const isJoined = Uint8Array.from({ length: n }, () =>
    coded === 1 ? bits.read(1) : coded >> 1,
  );
  const [left, right] = [0, 1].map(() => readChannel(bits, shared, rateIndex, noise));
  if (shared) joinStereo(left, right, isJoined);
  return [left, right];
}

function skipStream(bits: Bits): void {
  bits.skip(4);
  const isAligned = bits.flag();
  let n = bits.read(8);
  if (n === 255) n += bits.read(8);
  if (isAligned) bits.align();
  bits.skip(8 * n);
}

/** Skip the arrangement of channels, which their elements tell too. */
function skipProgram(bits: Bits): void {
  bits.skip(4 + 2 + 4);
  const [front, side, back, low, other, coupled] = [4, 4, 4, 2, 3, 4].map((n) =>
    bits.read(n),
  );
  for (let i = 0; i < 2; i++) if (bits.flag()) bits.skip(4);
  if (bits.flag()) bits.skip(3);
  bits.skip(5 * (front + side + back + coupled) + 4 * (low + other));
  bits.align();
  bits.skip(8 * bits.read(8));
}

function skipFill(bits: Bits): void {
  let n = bits.read(4);
  if (n === 15) n += bits.read(8) - 1;
  bits.skip(8 * n);
}
