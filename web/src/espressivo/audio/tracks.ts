/** Which of the audio tracks of a file is decoded, and the names of the others. */

import type { InputAudioTrack } from "mediabunny";
import { AudioError, NotDecodable } from "../errors";
import { isDecodable } from "./codec";

export interface Choice {
  /** Number of the track, from 1. */
  readonly number: number;
  readonly warnings: readonly string[];
}

/** What the choice depends on. */
export interface TrackFacts {
  readonly codec: string | null;
  readonly isDecodable: boolean;
  readonly isDefault: boolean;
  readonly language: string;
  readonly title: string | null;
}

/**
 * Choose a track as players do: the first that is flagged as default, or else the first.
 *
 * @param tracks The audio tracks, at least one.
 * @param name Name of the recording in messages.
 * @param wanted Number that the user wants, from 1; null for the default track.
 * @param isMp4 Whether no player offers tracks without the flag.
 * @throws AudioError There is no such track, or the browser cannot decode it.
 * @throws NotDecodable The browser can decode no track.
 */
export function chosenTrack(
  tracks: readonly TrackFacts[],
  name: string,
  wanted: number | null,
  isMp4: boolean,
): Choice {
  const n = tracks.length;
  if (wanted !== null) {
    requireTrack(wanted, n, name);
    if (!tracks[wanted - 1].isDecodable) {
      const named = described(tracks[wanted - 1], wanted - 1);
      throw new AudioError(`${name}: this browser cannot decode ${named}; convert it`);
    }
    return { number: wanted, warnings: [] };
  }
  const known = tracks.flatMap(({ isDecodable }, i) => (isDecodable ? [i] : []));
  if (known.length === 0) {
    throw new NotDecodable(
      `${name}: this browser decodes no ${tracks[0].codec ?? "codec"}`,
    );
  }
  const chosen = known.find((i) => tracks[i].isDefault) ?? known[0];
  const others = tracks.flatMap((track, i) => {
    const isHidden = isMp4 && i > chosen && !track.isDefault;
    return i === chosen || isHidden ? [] : [described(track, i)];
  });
  if (others.length === 0) return { number: chosen + 1, warnings: [] };
  const warning =
    `${name}: holds ${n} audio tracks; analysed is ${described(tracks[chosen], chosen)}, ` +
    `not ${others.join(", ")}; choose with the option track`;
  return { number: chosen + 1, warnings: [warning] };
}

/**
 * Check the number of a track.
 *
 * @param n Number of tracks of the recording.
 * @throws AudioError There is no such track.
 */
export function requireTrack(wanted: number, n: number, name: string): void {
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= n) return;
  const held = n === 1 ? "1 audio track" : `${n} audio tracks`;
  throw new AudioError(
    `${name}: has no track ${wanted}, it holds ${held}; pass a number from 1 to ${n}`,
  );
}

export async function factsOf(track: InputAudioTrack): Promise<TrackFacts> {
  return {
    codec: await track.getCodec(),
    isDecodable: await isDecodable(await track.getDecoderConfig()),
    isDefault: (await track.getDisposition()).default,
    language: await track.getLanguageCode(),
    title: await track.getName(),
  };
}

function described({ codec, language, title }: TrackFacts, index: number): string {
  const words = [codec ?? "unknown codec"];
  if (language !== "und") words.push(language);
  if (title) words.push(title);
  return `track ${index + 1} (${words.join(", ")})`;
}
