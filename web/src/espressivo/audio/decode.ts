/**
 * Decode a file into blocks of mono samples at 16 kHz, in constant memory.
 *
 * Mediabunny reads the container; the browser's WebCodecs decode, or decoders in
 * WebAssembly. As in Python, time stamps are kept: a hole becomes silence.
 */

import { AudioError, EspressivoError, NotDecodable } from "../errors";
import { SAMPLE_RATE, type Segment } from "../types";
import { type FindSpeech, joined } from "./channels";
import { Clock } from "./clock";
import { Converter } from "./conversion";
import { decoded } from "./decoder";
import type { Edit } from "./edit-list";
import { missingEnd } from "./ending";
import { announcedBy, opened, type Part } from "./parts";
import { between, gathered, type Piece } from "./pieces";
import { isMp4, type Named, type Piecemeal, partsOf } from "./splitting";

const BLOCK = 5 * SAMPLE_RATE;
const SKIPPED_S = 10; // between edits; where more is skipped, the file is sought

export interface OpenOptions extends Named {
  /** Number of the audio track, from 1; null for the default track. */
  readonly track: number | null;
  readonly findSpeech: FindSpeech;
}

/** A recording that is being decoded; what is found is complete after the last block. */
export interface Decoding {
  /** Duration in seconds as stated by the container; null where it states none. */
  readonly total_s: number | null;
  /** Number of the audio track, from 1. */
  readonly track: number;
  readonly blocks: AsyncGenerator<Float32Array>;
  /** Problems that are not fatal. */
  readonly warnings: string[];
  /** Holes in the time stamps, which are silence in the signal. */
  readonly gaps: readonly Segment[];
  /** How the channels became one. */
  readonly channels: () => string;
}

/**
 * Open a recording.
 *
 * @throws NotDecodable The container is unknown, or nothing here decodes the codec.
 * @throws AudioError The file holds no audio stream, or not the track.
 */
export async function openRecording(file: Blob, options: OpenOptions): Promise<Decoding> {
  const { name, findSpeech } = options;
  if (file.size === 0) throw new AudioError(`${name}: the file is empty; pass a recording`);
  try {
    const files = await partsOf(file, options);
    const first = await opened(files[0], options, options.track);
    const isOne = files.length === 1;
    const clock = new Clock();
    const converter = new Converter(name, clock, findSpeech);
    const warnings = [...first.warnings];
    const announced_s = isOne ? await announcedBy(first, options) : null;
    const heard = heardIn(files, first, options, { clock, converter, warnings });
    return {
      total_s: isOne ? first.duration_s : null,
      track: first.number,
      warnings,
      gaps: converter.gaps,
      channels: () => converter.channels,
      blocks: blocksOf(heard, async () => {
        warnings.push(...converter.warnings());
        const missing =
          (await missingEnd(file)) ??
          (announced_s && shortOf(announced_s - first.start_s, clock.position_s));
        if (missing) warnings.push(`${name}: truncated: ${missing}`);
      }),
    };
  } catch (error) {
    throw readable(error, options);
  }
}

/** Yield the 16 kHz samples of all parts. */
async function* heardIn(
  files: readonly Piecemeal[],
  first: Part,
  options: OpenOptions,
  into: { clock: Clock; converter: Converter; warnings: string[] },
): AsyncGenerator<Float32Array> {
  const { clock, converter, warnings } = into;
  let nHeard = 0;
  for (const [i, file] of files.entries()) {
    try {
      const part = i === 0 ? first : await opened(file, options, null);
      clock.begin(part.start_s, part.duration_s);
      for await (const piece of gathered(piecesOf(part, options, warnings))) {
        nHeard += piece.channels[0].length;
        yield* converter.push(piece);
      }
      part.input.dispose();
    } catch (error) {
      if (nHeard === 0 || isFinal(error, options)) throw readable(error, options);
      const where = files.length > 1 ? ` in part ${i + 1} of ${files.length}` : "";
      warnings.push(`${options.name}: stopped early${where} (${(error as Error).message})`);
    }
  }
  if (nHeard === 0) throw new NotDecodable(`${options.name}: no audio could be decoded`);
  yield await converter.finish();
}

/** Yield what of a part is played, with the time stamps at which it is. */
async function* piecesOf(
  part: Part,
  { name, limits }: OpenOptions,
  warnings: string[],
): AsyncGenerator<Piece> {
  const { format, silence_s } = part;
  const source = { ...part, name, limits };
  const last = part.edits[part.edits.length - 1];
  let [nBroken, nPieces] = [0, 0];
  for (const edits of passesOf(part.edits)) {
    const samples = decoded(source, edits[0].from_s);
    const end_s = edits[edits.length - 1].to_s;
    try {
      for (;;) {
        const { done, value } = await samples.next();
        if (done) nBroken += value;
        if (done || value.stamp_s >= end_s) break;
        for (const { from_s, to_s, at_s } of edits) {
          if (value.stamp_s >= to_s) continue;
          // As in Python, edits of MP4 but the last end with a whole packet.
          const isWhole = isMp4(format) && to_s < last.to_s;
          const until_s = isWhole ? Number.POSITIVE_INFINITY : to_s;
          const heard = between(value, from_s, until_s);
          const stamp_s = at_s + heard.stamp_s - from_s;
          if (heard.channels[0].length === 0) continue;
          if (silence_s && !nPieces++) yield silentBefore(heard, silence_s);
          yield { ...heard, stamp_s };
        }
      }
    } finally {
      await samples.return(0);
    }
  }
  const packets = nBroken === 1 ? "1 damaged packet" : `${nBroken} damaged packets`;
  if (nBroken) warnings.push(`${name}: ${packets} skipped`);
}

/** Return silence of the same form as a piece. */
function silentBefore({ rate, channels }: Piece, length_s: number): Piece {
  const n = Math.round(length_s * rate);
  return { stamp_s: 0, rate, channels: channels.map(() => new Float32Array(n)) };
}

/** Divide edits into groups that one pass over the packets serves. */
function passesOf(edits: readonly Edit[]): Edit[][] {
  const passes: Edit[][] = [];
  for (const edit of edits) {
    const last = passes.at(-1)?.at(-1);
    const ahead_s = last ? edit.from_s - last.to_s : -1;
    if (ahead_s >= 0 && ahead_s < SKIPPED_S) passes.at(-1)?.push(edit);
    else passes.push([edit]);
  }
  return passes;
}

/** Gather signals into blocks; `finish` is called after the last. */
async function* blocksOf(
  signals: AsyncGenerator<Float32Array>,
  finish: () => Promise<void>,
): AsyncGenerator<Float32Array> {
  let held: Float32Array[] = [];
  let n = 0;
  for await (const signal of signals) {
    held.push(signal);
    n += signal.length;
    if (n < BLOCK) continue;
    yield joined(held);
    [held, n] = [[], 0];
  }
  if (n) yield joined(held);
  await finish();
}

function shortOf(announced_s: number, read_s: number): string | null {
  // Declared durations are inexact (rounding, padding of the encoder), hence the
  // tolerance of 2 % plus 0.1 s.
  if (read_s >= 0.98 * announced_s - 0.1) return null;
  return `${read_s.toFixed(1)} s decode of the ${announced_s.toFixed(1)} s that it announces`;
}

/** Return whether an error ends the analysis, even after something was decoded. */
function isFinal(error: unknown, { limits }: OpenOptions): boolean {
  if (limits.signal?.aborted) return true;
  return error instanceof EspressivoError && !(error instanceof NotDecodable);
}

/** Let the page try `decodeAudioData` after any error that is not ours. */
function readable(error: unknown, options: OpenOptions): unknown {
  if (isFinal(error, options) || error instanceof NotDecodable) return error;
  return new NotDecodable(`${options.name}: ${(error as Error).message}`);
}
