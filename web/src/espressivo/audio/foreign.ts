/** Names of files that cannot be decoded, by their first bytes, for messages. */

import { Bytes, latin1 } from "./bytes";

const N_BYTES = 512;
const KINDS: readonly [pattern: RegExp, name: string][] = [
  [/^#!AMR/, "AMR"],
  [/^\x30\x26\xb2\x75/, "Windows Media"],
  [/^RIFF....AVI /s, "AVI"],
  [/^FORM....AIF/s, "AIFF"],
  [/^(caff|MAC |wvpk|MPCK|DSD )/, "an audio format of few players"],
  [/^MThd/, "MIDI, which holds notes and no sound"],
  [/^(\x89PNG|\xff\xd8\xff|GIF8|....ftyp(heic|mif1|avif))/s, "a picture"],
  [/^%PDF/, "a PDF"],
  [/^PK/, "a ZIP archive"],
  // UTF-8, of which the last character may be cut off.
  [
    /^(?:[\t\n\r\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]{1,3})+(?:[\xc2-\xf4][\x80-\xbf]{0,2})?$/,
    "a text file",
  ],
];

/** Return what a file is, as messages name it; null if its first bytes do not tell. */
export async function foreignKind(file: Blob): Promise<string | null> {
  const head = latin1(await new Bytes(file).at(0, Math.min(N_BYTES, file.size)));
  return KINDS.find(([pattern]) => pattern.test(head))?.[1] ?? null;
}
