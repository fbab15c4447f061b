/**
 * The decoding of one track, which a damaged packet does not end.
 *
 * Chromium ignores the time stamps of packets after the first, so samples are counted
 * here, and the decoder is emptied where the packets have a hole.
 */

import { type EncodedPacket, EncodedPacketSink } from "mediabunny";
import { AudioError } from "../errors";
import type { Codec, OpenCodec, Sound } from "./codec";
import { between, type Piece } from "./pieces";
import { PRE_ROLL_S, preSkipOf, type Source, waited, withoutPreSkip } from "./source";

const HOLE_S = 0.1;
const QUEUE = 32; // packets inside the decoder
const OPUS_RATE = 48_000;
const MOST_BROKEN = 3; // packets at the start

export class Pump {
  nBroken = 0;
  private decoder: Codec | null = null;
  private outputs: Sound[] = [];
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
  private heard_s = 0; // decoded so far
  private packet_s = 0; // length of the last packet

  constructor(
    private readonly source: Source,
    config: AudioDecoderConfig,
    private readonly open: OpenCodec,
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
    const { stamps_s, end_s, isMp4 } = this.source;
    let index = 0;
    while (packet) {
      const next = await read(sink.getNextPacket(packet));
      const stamp_s = stamps_s.get(index++);
      if (stamp_s !== undefined) this.ahead_s = stamp_s - packet.timestamp;
      if (end_s !== null && !next) this.most_s = Math.max(end_s, this.stampOf(packet));
      // The last packet of MP4 may be shorter than the others (ISO/IEC 14496-12, 8.6.1.2).
      if (isMp4 && !next && packet.duration) {
        this.most_s = this.stampOf(packet) + packet.duration;
      }
      if (this.isBeyond(packet)) yield* this.emptied(packet);
      yield* this.fed(packet);
      packet = next;
    }
    yield* this.flushed();
  }

  close(): void {
    this.outputs = [];
    this.decoder?.close();
  }

  private begin(packet: EncodedPacket): void {
    // Stamps are those of the pre-skip in MP4, or if they are below 0; otherwise the
    // pre-skip comes before the first stamp.
    const { timestamp } = packet;
    const isBefore = timestamp < 0 || this.source.isMp4;
    this.start_s = timestamp - (isBefore ? 0 : this.preSkip_s);
    this.least_s = timestamp < 0 ? timestamp : this.start_s + this.preSkip_s;
    this.heard_s = 0;
  }

  /** Return whether a packet seems to come after a hole. */
  private isBeyond(packet: EncodedPacket): boolean {
    const stamp_s = this.stampOf(packet);
    // Packets of the pre-skip all have the stamp of the beginning.
    if (!this.source.isStamped || !this.packet_s || stamp_s <= this.least_s) return false;
    const inside_s = this.inside.length * this.packet_s;
    return stamp_s > this.start_s + this.heard_s + inside_s + HOLE_S;
  }

  /** Let the decoder finish what comes before a hole, if it is one. */
  private async *emptied(packet: EncodedPacket): AsyncGenerator<Piece> {
    let nBefore = -1;
    while (this.inside.length && this.inside.length !== nBefore) {
      nBefore = this.decoder?.nWaiting ? -1 : this.inside.length;
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
    this.heard_s = 0;
  }

  /** Return a packet's time stamp; those of Matroska include the pre-skip. */
  private stampOf(packet: EncodedPacket): number {
    return packet.timestamp + this.ahead_s - this.delay_s;
  }

  private async *fed(packet: EncodedPacket): AsyncGenerator<Piece> {
    yield* this.taken(); // a decoder that has failed takes no packet
    this.feed(packet);
    // The first answers tell how long a packet is.
    const isNew = !this.packet_s && this.inside.length < 4;
    if (isNew) await Promise.race([this.change(), pause()]);
    yield* this.taken();
    while ((this.decoder?.nWaiting ?? 0) > QUEUE) {
      await this.change();
      yield* this.taken();
    }
  }

  private feed(packet: EncodedPacket): void {
    this.decoder ??= this.opened();
    this.inside.push(packet);
    this.decoder.decode(packet);
  }

  private opened(): Codec {
    this.isSilent = this.config.codec === "vorbis";
    return this.open(this.config, {
      output: (sound) => {
        this.outputs.push(sound);
        this.wake();
      },
      error: (error) => {
        this.failure = error;
        this.wake();
      },
      dequeue: () => this.wake(),
    });
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
    for (let sound = this.outputs.shift(); sound; sound = this.outputs.shift()) {
      const { length } = sound.channels[0];
      this.inside.shift();
      if (this.isSilent && length) this.inside.shift();
      this.isSilent = false;
      if (length) yield* this.cut(sound, length);
    }
    if (this.failure) this.restart(this.failure);
  }

  private *cut({ rate, channels }: Sound, length: number): Generator<Piece> {
    const stamp_s = this.start_s + this.heard_s;
    this.packet_s = length / rate;
    this.heard_s += this.packet_s;
    const cut = between({ stamp_s, rate, channels }, this.least_s, this.most_s);
    if (cut.channels[0].length) yield cut;
  }

  private restart(failure: Error): void {
    this.failure = null;
    this.decoder = null;
    this.inside.shift();
    this.nBroken += 1;
    if (!this.packet_s && this.nBroken >= MOST_BROKEN) throw failure;
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

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100));
}
