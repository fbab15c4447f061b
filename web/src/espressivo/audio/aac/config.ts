/**
 * What an AAC track says of itself: AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1)
 * or, where a file has none, the ADTS header of each packet (section 1.A.2.2).
 */

const RATES = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
  8_000,
];
const LOW_COMPLEXITY = 2;
const EXTENSIONS = [5, 29]; // High Efficiency, of which the core is Low Complexity

export interface AacConfig {
  /** Sample rate of the core, in Hz, and the number of its tables. */
  readonly rate: number;
  readonly rateIndex: number;
  /** Number of the arrangement of channels; 0: by the elements of a packet. */
  readonly layout: number;
}

/** Bits of a packet, in order. */
export class Bits {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get left(): number {
    return 8 * this.bytes.length - this.at;
  }

  /** Read an unsigned number of `n` bits, at most 24; beyond the end are zeros. */
  read(n: number): number {
    const from = this.at >> 3;
    const { bytes } = this;
    const word =
      ((bytes[from] << 24) |
        (bytes[from + 1] << 16) |
        (bytes[from + 2] << 8) |
        bytes[from + 3]) <<
      (this.at & 7);
    this.at += n;
    return n ? word >>> (32 - n) : 0;
  }

  flag(): boolean {
    return this.read(1) === 1;
  }

  skip(n: number): void {
    this.at += n;
  }

  align(): void {
    this.at = (this.at + 7) & ~7;
  }
}

/**
 * Read an AudioSpecificConfig.
 *
 * @throws Error It is not of Low Complexity.
 */
export function readConfig(description: Uint8Array): AacConfig {
  const bits = new Bits(description);
  let kind = bits.read(5);
  const { rate, rateIndex } = readRate(bits);
  const layout = bits.read(4);
  if (EXTENSIONS.includes(kind)) {
    readRate(bits);
    kind = bits.read(5);
  }
  const isShort = bits.flag(); // frames of 960 samples
  if (kind !== LOW_COMPLEXITY || isShort) throw new Error(`AAC of type ${kind} is unknown`);
  return { rate, rateIndex, layout };
}

function readRate(bits: Bits): { rate: number; rateIndex: number } {
  const index = bits.read(4);
  if (RATES[index]) return { rate: RATES[index], rateIndex: index };
  if (index !== 15) throw new Error("the sample rate of AAC is unknown");
  const rate = bits.read(24);
  // The tables of the nearest rate (section 4.5.1.1).
  const nearest = RATES.findIndex((each) => rate >= 0.92 * each);
  return { rate, rateIndex: nearest < 0 ? RATES.length - 1 : nearest };
}

/** Split a packet with an ADTS header; its frame is the rest. */
export function readAdts(packet: Uint8Array): [config: AacConfig, frame: Uint8Array] {
  const bits = new Bits(packet);
  if (bits.read(12) !== 0xfff) throw new Error("an AAC packet has no ADTS header");
  bits.skip(3);
  const hasCheck = !bits.flag();
  const kind = bits.read(2) + 1;
  const rateIndex = bits.read(4);
  bits.skip(1);
  const layout = bits.read(3);
  const rate = RATES[rateIndex];
  if (kind !== LOW_COMPLEXITY || !rate) throw new Error(`AAC of type ${kind} is unknown`);
  return [{ rate, rateIndex, layout }, packet.subarray(hasCheck ? 9 : 7)];
}
