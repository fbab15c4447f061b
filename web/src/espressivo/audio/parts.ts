/** The parts of a recording, opened: their tracks and times. */

import {
  ADTS,
  FLAC,
  type Input,
  type InputAudioTrack,
  type InputFormat,
  MP3,
  MPEG_TS,
  OGG,
  WAVE,
} from "mediabunny";
import { AudioError, NotDecodable } from "../errors";
import { type Edit, editsOf } from "./edit-list";
import { mp3Extent } from "./gapless";
import { matroskaTimes } from "./matroska";
import { oggStamps } from "./ogg";
import { preSkipOf, waited } from "./source";
import { inputOf, isMatroska, isMp4, type Named, type Piecemeal } from "./splitting";
import { chosenTrack, factsOf } from "./tracks";

const ENDLESS = Number.POSITIVE_INFINITY;
const WHOLE: Edit = { from_s: 0, to_s: ENDLESS, at_s: 0 };
const UNSTAMPED = { stamps_s: new Map<number, number>(), end_s: null };
// Formats that count packets, as mediabunny does too.
const COUNTED: InputFormat[] = [ADTS, FLAC, MP3, WAVE];

/** One of the files that a recording was put together from. */
export interface Part {
  readonly input: Input;
  readonly format: InputFormat;
  readonly track: InputAudioTrack;
  /** Number of the track, from 1. */
  readonly number: number;
  readonly warnings: readonly string[];
  /** Time stamp at which the first of all tracks begins, in seconds. */
  readonly start_s: number;
  /** Duration as the container states it, in seconds, or null. */
  readonly duration_s: number | null;
  /** What of the track is played, and when. */
  readonly edits: readonly Edit[];
  /** Silence before the part, and padding after it, in seconds. */
  readonly silence_s: number;
  readonly padding_s: number;
  /** Whether packets have time stamps of their own. */
  readonly isStamped: boolean;
  readonly isMp4: boolean;
  /** Time that a decoder gives before the sound, in seconds; null if the packets say. */
  readonly delay_s: number | null;
  /** Time stamps of Ogg pages, by the index of the packet after each. */
  readonly stamps_s: ReadonlyMap<number, number>;
  /** End of the sound within the last packet, in seconds; null where it is not stated. */
  readonly end_s: number | null;
}

/**
 * Open a part.
 *
 * @param wanted Number of the audio track, from 1; null for the default track.
 */
export async function opened(
  { file, trims, ...rest }: Piecemeal,
  named: Named,
  wanted: number | null,
): Promise<Part> {
  const input = inputOf(file);
  const { name } = named;
  const tracks = await waited(named, input.getAudioTracks());
  const format = await input.getFormat();
  if (tracks.length === 0) {
    // Mediabunny lists no track of a codec of Ogg or of a transport stream that it lacks.
    const Kind = format === OGG || format === MPEG_TS ? NotDecodable : AudioError;
    throw new Kind(`${name}: holds no audio stream; pass a recording with sound`);
  }
  const facts = await waited(named, Promise.all(tracks.map(factsOf)));
  const { number, warnings } = chosenTrack(facts, name, wanted, isMp4(format));
  const track = tracks[number - 1];
  let edits = isMp4(format) ? await editsOf(file, track.id) : [];
  if (format === MP3) edits = await mp3Edits(file, await track.getSampleRate(), trims);
  if (edits.length === 0) edits = [WHOLE];
  const begin_s = await waited(named, startOf(file, input));
  const start_s = format === MP3 ? edits[0].at_s : begin_s;
  const duration_s = await waited(named, input.getDurationFromMetadata());
  const padding_s = rest.padding_s.get(track.id) ?? 0;
  const delay_s = isMatroska(format) ? (await matroskaTimes(file, track.id)).delay_s : null;
  const stamps = format === OGG ? await oggTimes(file, track) : UNSTAMPED;
  return {
    ...rest,
    input,
    format,
    track,
    number,
    warnings,
    start_s,
    duration_s,
    edits,
    padding_s,
    isStamped: !COUNTED.includes(format),
    isMp4: isMp4(format),
    delay_s,
    ...stamps,
  };
}

/** Return the time stamp at which the first of all tracks begins, as FFmpeg counts it. */
async function startOf(file: Blob, input: Input): Promise<number> {
  const tracks = await input.getTracks();
  const isInMatroska = isMatroska(await input.getFormat());
  const starts = tracks.map(async (track) => {
    const start_s = Math.max(0, await input.getFirstTimestamp([track]));
    if (!isInMatroska || (await track.getCodec()) !== "opus") return start_s;
    // FFmpeg counts the delay of Opus, which is in samples at 48 kHz, at the track's rate.
    const { delay_s, rate } = await matroskaTimes(file, track.id);
    const counted_s = rate ? (delay_s * 48_000) / rate : delay_s;
    return start_s + (Math.round(1000 * counted_s) - Math.round(1000 * delay_s)) / 1000;
  });
  return Math.min(...(await Promise.all(starts)));
}

/** Return when the sound ends as the file declares it, in seconds; null: estimated. */
export async function announcedBy(part: Part, named: Named): Promise<number | null> {
  const { from_s, to_s, at_s } = part.edits[0];
  const isOne = part.edits.length === 1 || part.format === MP3;
  if (isOne && to_s !== ENDLESS) return at_s + to_s - from_s;
  if (!isMp4(part.format) && part.format !== FLAC) return null;
  return waited(named, part.track.getDurationFromMetadata());
}

/** Return the times that the pages of Ogg state. */
async function oggTimes(
  file: Blob,
  track: InputAudioTrack,
): Promise<Pick<Part, "stamps_s" | "end_s">> {
  const config = await track.getDecoderConfig();
  if (!config) return UNSTAMPED;
  const nHeaders = config.codec === "opus" ? 2 : 3;
  const before = preSkipOf(config);
  const { after, end } = await oggStamps(file, track.id);
  const inSeconds = (granule: number) => (granule - before) / config.sampleRate;
  const stamps_s = [...after].flatMap(([i, granule]) =>
    i > nHeaders ? [[i - nHeaders, inSeconds(granule)] as const] : [],
  );
  return { stamps_s: new Map(stamps_s), end_s: end === null ? null : inSeconds(end) };
}

/** Return the recording within an MP3, and what follows after it and the padding. */
async function mp3Edits(
  file: Blob,
  rate: number,
  trims: Piecemeal["trims"],
): Promise<Edit[]> {
  const { start_s, end_s, total_s } = await mp3Extent(file, rate);
  if (trims === "none") return [];
  const rest_s = Math.max(end_s, total_s);
  if (trims === "start" || rest_s === ENDLESS) {
    return [{ from_s: start_s, to_s: ENDLESS, at_s: start_s }];
  }
  return [
    { from_s: start_s, to_s: end_s, at_s: start_s },
    { from_s: rest_s, to_s: ENDLESS, at_s: rest_s },
  ];
}
