/** Pieces of decoded sound. */

import type { AudioSample } from "mediabunny";
import { joined } from "./channels";

const LENGTH_S = 0.25; // of gathered pieces
const NEAR_S = 1e-6;

/** Decoded samples. */
export interface Piece {
  /** Time stamp of the first sample, in the track's time. */
  readonly stamp_s: number;
  readonly rate: number;
  readonly channels: readonly Float32Array[];
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

/** Leave out the last seconds. */
export async function* withoutEnd(
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

export function pieceOf(sample: AudioSample, stamp_s: number): Piece {
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

/** Join pieces that follow one another, since each costs time of its own. */
export async function* gathered(pieces: AsyncGenerator<Piece>): AsyncGenerator<Piece> {
  let held: Piece[] = [];
  let end_s = 0;
  for await (const piece of pieces) {
    const [first] = held;
    const follows =
      first?.rate === piece.rate &&
      first.channels.length === piece.channels.length &&
      Math.abs(piece.stamp_s - end_s) < NEAR_S &&
      end_s - first.stamp_s < LENGTH_S;
    if (first && !follows) {
      yield asOne(held);
      held = [];
    }
    held.push(piece);
    end_s = piece.stamp_s + piece.channels[0].length / piece.rate;
  }
  if (held.length) yield asOne(held);
}

function asOne(pieces: readonly Piece[]): Piece {
  const [first] = pieces;
  if (pieces.length === 1) return first;
  const channels = first.channels.map((_, i) =>
    joined(pieces.map((piece) => piece.channels[i])),
  );
  return { ...first, channels };
}
