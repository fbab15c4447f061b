/**
 * The samples of one track, with their time stamps.
 *
 * The packets are mediabunny's; WebCodecs decodes them. Chromium ignores the time stamps
 * of packets after the first, so samples are counted here, and the decoder is emptied
 * where the packets have a hole.
 */

import {
  type AudioSample,
  AudioSampleSink,
  type EncodedPacket,
  EncodedPacketSink,
  type InputAudioTrack,
  AudioSample as Sample,
} from "mediabunny";
import { AudioError } from "../errors";
import { type Limits, within } from "../waits";

/** Decoded samples. */
export interface Piece {
  /** Time stamp of the first sample, in the track's time. */
  readonly stamp_s: number;
  readonly rate: number;
  readonly channels: readonly Float32Array[];
}

export interface Source {
  readonly track: InputAudioTrack;
  /** Name of the recording in messages. */
  readonly name: string;
  readonly limits: Limits;
  /** Time that a decoder gives before the sound, which stamps include; null if unknown. */
  readonly delay_s: number | null;
  /** Padding after the sound, in seconds. */
  readonly padding_s: number;
  /** Time stamps that overrule those of packets, by their index. */
  readonly stamps_s: ReadonlyMap<number, number>;
  /** End of the sound within the last packet, in seconds; null where it is not stated. */
  readonly end_s: number | null;
}

const HOLE_S = 0.1;
const QUEUE = 32; // packets inside the decoder
const OPUS_RATE = 48_000;
const PRE_SKIP = 10; // where an Opus header holds it, two bytes
const MOST_BROKEN = 3; // packets at the start
const PRE_ROLL_S = 0.5; // after which a decoder gives what it gives from the start

/** Decode a track from shortly before `from_s`; return the number of damaged packets. */
export async function* decoded(
  source: Source,
  from_s: number,
): AsyncGenerator<Piece, number> {
  const config = await source.track.getDecoderConfig();
  if (!config) throw new AudioError(`${source.name}: its codec is unknown`);
  if (/^(pcm|ulaw|alaw)/.test(config.codec)) {
    yield* uncompressed(source, from_s);
    return 0;
  }
  const pump = new Pump(source, config);
  try {
    yield* withoutEnd(pump.pieces(from_s), source.padding_s);
    return pump.nBroken;
  } finally {
    pump.close();
  }
}

async function* uncompressed(source: Source, from_s: number): AsyncGenerator<Piece> {
  const samples = new AudioSampleSink(source.track).samples(
    from_s > PRE_ROLL_S ? from_s - PRE_ROLL_S : undefined,
  );
  try {
    for (;;) {
      const { done, value } = await waited(source, samples.next());
      if (done) return;
      yield pieceOf(value, value.timestamp);
      value.close();
    }
  } finally {
    void samples.return();
  }
}

/** Decoder of one track, which a damaged packet does not end. */
class Pump {
  nBroken = 0;
  private decoder: AudioDecoder | null = null;
  private outputs: AudioData[] = [];
  private inside: EncodedPacket[] = []; // packets that were not answered yet
  private isSilent = false; // whether the first packet may give nothing
  private failure: Error | null = null;
  private wake = () => {};
  private readonly config: AudioDecoderConfig;
  private readonly preSkip_s: number;
  private readonly delay_s: number; // of the stamps
  private ahead_s = 0; // of the stamps of Ogg pages
  // The run: packets without a hole.
  private start_s = 0;
  private least_s = Number.NEGATIVE_INFINITY; // samples before it are dropped
  private most_s = Number.POSITIVE_INFINITY; // and after it
  private nSamples = 0;
  private rate = 0;
  private packet_s = 0; // length of the last packet

  constructor(
    private readonly source: Source,
    config: AudioDecoderConfig,
  ) {
    this.config = withoutPreSkip(config);
    const delay_s = source.delay_s ?? preSkipOf(config) / OPUS_RATE;
    // The first packet of Vorbis gives nothing, instead of samples before the sound.
    this.preSkip_s = config.codec === "vorbis" ? 0 : delay_s;
    // The stamps of Matroska are in milliseconds.
    this.delay_s = Math.round(1000 * (source.delay_s ?? 0)) / 1000;
  }

  async *pieces(from_s: number): AsyncGenerator<Piece> {
    const sink = new EncodedPacketSink(this.source.track);
    const read = (packet: Promise<EncodedPacket | null>) => waited(this.source, packet);
    let packet =
      from_s > PRE_ROLL_S ? await read(sink.getPacket(from_s - PRE_ROLL_S)) : null;
    packet ??= await read(sink.getFirstPacket());
    if (packet) this.begin(packet);
    const { stamps_s, end_s } = this.source;
    let index = 0;
    while (packet) {
      const next = await read(sink.getNextPacket(packet));
      const stamp_s = stamps_s.get(index++);
      if (stamp_s !== undefined) this.ahead_s = stamp_s - packet.timestamp;
      if (end_s !== null && !next) this.most_s = Math.max(end_s, this.stampOf(packet));
      if (this.isBeyond(packet)) yield* this.emptied(packet);
      yield* this.fed(packet);
      packet = next;
    }
    yield* this.flushed();
  }

  close(): void {
    for (const output of this.outputs) output.close();
    this.outputs = [];
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
  }

  private begin(packet: EncodedPacket): void {
    // Stamps below 0 are those of the pre-skip; otherwise it comes before the first stamp.
    const isBefore = packet.timestamp < 0;
    this.start_s = packet.timestamp - (isBefore ? 0 : this.preSkip_s);
    this.least_s = packet.timestamp;
    this.nSamples = 0;
  }

  /** Return whether a packet seems to come after a hole. */
  private isBeyond(packet: EncodedPacket): boolean {
    const stamp_s = this.stampOf(packet);
    // Packets of the pre-skip all have the stamp of the beginning.
    if (!this.rate || stamp_s <= this.least_s) return false;
    const heard_s = this.start_s + this.nSamples / this.rate;
    return stamp_s > heard_s + this.inside.length * this.packet_s + HOLE_S;
  }

  /** Let the decoder finish what comes before a hole, if it is one. */
  private async *emptied(packet: EncodedPacket): AsyncGenerator<Piece> {
    let nBefore = -1;
    while (this.inside.length && this.inside.length !== nBefore) {
      nBefore = this.decoder?.decodeQueueSize ? -1 : this.inside.length;
      await Promise.race([this.change(), pause()]);
      yield* this.taken();
    }
    if (!this.isBeyond(packet)) return;
    // A decoder that has answered all packets needs no flush, which would reset it.
    if (this.inside.length) yield* this.flushed();
    this.resume(packet);
  }

  /** Begin another run with a packet. */
  private resume(packet: EncodedPacket): void {
    this.start_s = this.least_s = this.stampOf(packet);
    this.nSamples = 0;
  }

  /** Return a packet's time stamp; those of Matroska include the pre-skip. */
  private stampOf(packet: EncodedPacket): number {
    return packet.timestamp + this.ahead_s - this.delay_s;
  }

  private async *fed(packet: EncodedPacket): AsyncGenerator<Piece> {
    yield* this.taken(); // a decoder that has failed takes no packet
    this.feed(packet);
    // The first answers tell how long a packet is.
    const isNew = !this.rate && this.inside.length < 4;
    if (isNew) await Promise.race([this.change(), pause()]);
    yield* this.taken();
    while ((this.decoder?.decodeQueueSize ?? 0) > QUEUE) {
      await this.change();
      yield* this.taken();
    }
  }

  private feed(packet: EncodedPacket): void {
    this.decoder ??= this.opened();
    this.inside.push(packet);
    this.decoder.decode(packet.toEncodedAudioChunk());
  }

  private opened(): AudioDecoder {
    const decoder = new AudioDecoder({
      output: (data) => {
        this.outputs.push(data);
        this.wake();
      },
      error: (error) => {
        this.failure = error;
        this.wake();
      },
    });
    decoder.ondequeue = () => this.wake();
    decoder.configure(this.config);
    this.isSilent = this.config.codec === "vorbis";
    return decoder;
  }

  private async *flushed(): AsyncGenerator<Piece> {
    while (this.decoder && this.inside.length) {
      // A failure is told to `error` too, and is treated in `taken`.
      await waited(this.source, this.decoder.flush()).catch((error) => {
        if (error instanceof AudioError || this.source.limits.signal?.aborted) throw error;
        this.failure ??= error;
      });
      const failed = this.failure !== null;
      yield* this.taken();
      if (failed) continue;
      this.inside = [];
      this.isSilent = this.config.codec === "vorbis";
    }
  }

  /** Yield what was decoded, and begin again after a damaged packet. */
  private async *taken(): AsyncGenerator<Piece> {
    for (let data = this.outputs.shift(); data; data = this.outputs.shift()) {
      this.inside.shift();
      if (this.isSilent && data.numberOfFrames) this.inside.shift();
      this.isSilent = false;
      if (data.numberOfFrames) yield* this.cut(new Sample(data));
      else data.close();
    }
    if (this.failure) this.restart(this.failure);
  }

  private *cut(sample: AudioSample): Generator<Piece> {
    const stamp_s = this.start_s + this.nSamples / sample.sampleRate;
    this.rate = sample.sampleRate;
    this.packet_s = sample.numberOfFrames / this.rate;
    this.nSamples += sample.numberOfFrames;
    const piece = pieceOf(sample, stamp_s);
    sample.close();
    const cut = between(piece, this.least_s, this.most_s);
    if (cut.channels[0].length) yield cut;
  }

  private restart(failure: Error): void {
    this.failure = null;
    this.decoder = null;
    this.inside.shift();
    this.nBroken += 1;
    if (!this.rate && this.nBroken >= MOST_BROKEN) throw failure;
    const again = this.inside;
    this.inside = [];
    if (again.length) this.resume(again[0]);
    for (const packet of again) this.feed(packet);
  }

  /** Wait until the decoder has taken a packet, given samples or failed. */
  private change(): Promise<void> {
    if (this.outputs.length || this.failure) return Promise.resolve();
    const changed = new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    return waited(this.source, changed);
  }
}

/** Leave out the last seconds. */
async function* withoutEnd(
  pieces: AsyncGenerator<Piece>,
  length_s: number,
): AsyncGenerator<Piece> {
  const held: Piece[] = [];
  const lengthOf = ({ channels, rate }: Piece) => channels[0].length / rate;
  for await (const piece of pieces) {
    held.push(piece);
    let held_s = held.reduce((sum, each) => sum + lengthOf(each), 0);
    while (held.length && held_s - lengthOf(held[0]) >= length_s) {
      held_s -= lengthOf(held[0]);
      yield held.shift() as Piece;
    }
  }
  let rest_s = held.reduce((sum, each) => sum + lengthOf(each), 0) - length_s;
  for (const piece of held) {
    const kept = between(piece, piece.stamp_s, piece.stamp_s + Math.max(0, rest_s));
    if (kept.channels[0].length) yield kept;
    rest_s -= lengthOf(piece);
  }
}

/** Return the part of a piece between two times. */
export function between(piece: Piece, from_s: number, to_s: number): Piece {
  const { stamp_s, rate, channels } = piece;
  const n = channels[0].length;
  const at = (time_s: number) =>
    Math.min(n, Math.max(0, Math.round((time_s - stamp_s) * rate)));
  const [from, to] = [at(from_s), at(to_s)];
  if (from === 0 && to === n) return piece;
  const cut = channels.map((each) => each.subarray(from, Math.max(from, to)));
  return { stamp_s: stamp_s + from / rate, rate, channels: cut };
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
function withoutPreSkip(config: AudioDecoderConfig): AudioDecoderConfig {
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

function pieceOf(sample: AudioSample, stamp_s: number): Piece {
  const channels = Array.from({ length: sample.numberOfChannels }, (_, i) =>
    planeOf(sample, i),
  );
  return { stamp_s, rate: sample.sampleRate, channels };
}

/** Return the samples of one channel, with full scale 1. */
function planeOf(sample: AudioSample, planeIndex: number): Float32Array {
  const plane = new Float32Array(sample.numberOfFrames);
  if (!sample.format.startsWith("s16")) {
    sample.copyTo(plane, { planeIndex, format: "f32-planar" });
    return plane;
  }
  // Chromium divides positive samples by 32767; Python and FFmpeg divide by 32768.
  const pcm = new Int16Array(sample.numberOfFrames);
  sample.copyTo(pcm, { planeIndex, format: "s16-planar" });
  for (let i = 0; i < pcm.length; i++) plane[i] = pcm[i] / 32768;
  return plane;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100));
}
