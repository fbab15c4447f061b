/**
 * The parts of a recording: most files are one, some were put together from several.
 *
 * Mediabunny 1.61 reads the first link of a chained Ogg file, and of an MP3 the frames
 * with the format of the first; so such files are split before.
 */

import {
  ADTS,
  BlobSource,
  FLAC,
  Input,
  type InputAudioTrack,
  type InputFormat,
  MATROSKA,
  MP3,
  MP4,
  MPEG_TS,
  OGG,
  QTFF,
  WAVE,
  WEBM,
} from "mediabunny";
import { AudioError, NotDecodable } from "../errors";
import type { Limits } from "../waits";
import { preSkipOf, waited } from "./decoder";
import { type Edit, editsOf } from "./edit-list";
import { mp3Extent } from "./gapless";
import { matroskaEnd, matroskaTimes } from "./matroska";
import { mp3Parts } from "./mp3";
import { oggLinks, oggStamps, withoutCutPage } from "./ogg";
import { chosenTrack, factsOf } from "./tracks";

// All but playlists, which would have the browser fetch other files.
const FORMATS = [MP4, QTFF, MATROSKA, WEBM, WAVE, OGG, FLAC, MP3, ADTS, MPEG_TS];
const ENDLESS = Number.POSITIVE_INFINITY;
const WHOLE: Edit = { from_s: 0, to_s: ENDLESS, at_s: 0 };
const NONE: ReadonlyMap<number, number> = new Map();
const UNSTAMPED = { stamps_s: NONE, end_s: null };
// FFmpeg distrusts what an MP3 says of its length if more than this share follows.
const FOLLOWING = 1 / 16;

/** Part of a file that is not opened yet. */
export interface Piecemeal {
  readonly file: Blob;
  /** Which delay and padding of an MP3 encoder are trimmed. */
  readonly trims: "both" | "start" | "none";
  /** Silence before the part, in seconds. */
  readonly silence_s: number;
  /** Padding after the sound of each track, by the track's number, in seconds. */
  readonly padding_s: ReadonlyMap<number, number>;
}

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
  /** Time that a decoder gives before the sound, in seconds; null if the packets say. */
  readonly delay_s: number | null;
  /** Time stamps of Ogg pages, by the index of the packet after each. */
  readonly stamps_s: ReadonlyMap<number, number>;
  /** End of the sound within the last packet, in seconds; null where it is not stated. */
  readonly end_s: number | null;
}

/** Name of the recording in messages, and limits of all waits. */
export interface Named {
  readonly name: string;
  readonly limits: Limits;
}

/** Split a file that was put together from several. */
export async function partsOf(file: Blob, named: Named): Promise<Piecemeal[]> {
  const input = inputOf(file);
  const format = await waited(named, input.getFormat());
  input.dispose();
  const only = { trims: "both", silence_s: 0, padding_s: NONE } as const;
  if (format === OGG) {
    const whole = await withoutCutPage(file);
    const links = await oggLinks(whole);
    if (links.length < 2) return [{ ...only, file: whole }];
    return links.map(({ from, to }) => ({ ...only, file: whole.slice(from, to) }));
  }
  if (isMatroska(format)) return [{ ...only, ...(await matroskaEnd(file)) }];
  const whole = withRoom(file, format);
  const [first, ...others] = format === MP3 ? await mp3Parts(whole) : [];
  if (!first) return [{ ...only, file: whole }];
  const isLonger = whole.size - first.to > FOLLOWING * first.to;
  // As in FFmpeg, which trims the first part only.
  return [
    { ...only, file: whole.slice(0, first.to), trims: isLonger ? "start" : "both" },
    ...others.map(({ from, to, note_s }) => {
      const part = whole.slice(from, to);
      return { ...only, file: part, trims: "none" as const, silence_s: note_s };
    }),
  ];
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

export function isMp4(format: InputFormat): boolean {
  return format === MP4 || format === QTFF;
}

export function isMatroska(format: InputFormat): boolean {
  return format === MATROSKA || format === WEBM;
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

function inputOf(file: Blob): Input {
  return new Input({ source: new BlobSource(file), formats: FORMATS });
}

/**
 * Append some bytes to a file.
 *
 * Mediabunny 1.61 drops a last frame of FLAC that is shorter than 16 bytes, such as one of
 * digital silence, and a last frame of MP3 or AAC that was cut. Decoders ignore bytes
 * after the last frame.
 */
function withRoom(file: Blob, format: InputFormat): Blob {
  const n = format === FLAC ? 16 : format === MP3 || format === ADTS ? 1500 : 0;
  return n ? new Blob([file, new Uint8Array(n)]) : file;
}
