/**
 * Encoder delay and padding of an MP3, for gapless decoding.
 *
 * Source: the LAME tag, as FFmpeg reads it (libavformat/mp3dec.c).
 */

const DECODER_DELAY = 529; // delay of every MP3 decoder, in samples
const ENCODERS = ["LAME", "Lavf", "Lavc"]; // encoders that write delay and padding

/** Range of the recording within the decoded signal, in seconds. */
export interface Extent {
  readonly start_s: number;
  readonly end_s: number;
  /** Length of the decoded signal that the tag counts, in seconds. */
  readonly total_s: number;
}

const ENDLESS = Number.POSITIVE_INFINITY;
export const WHOLE: Extent = { start_s: 0, end_s: ENDLESS, total_s: ENDLESS };

/** Read the LAME tag of an MP3. */
export async function mp3Extent(file: Blob, sampleRate: number): Promise<Extent> {
  const head = await bytesOf(file, await id3Length(file), 4096);
  const at = Math.max(head.indexOf("Xing"), head.indexOf("Info"));
  if (at < 0 || at > 64) return WHOLE;
  const flags = word(head, at + 4);
  // Optional fields: number of frames, number of bytes, table of contents, quality.
  const hasFrames = (flags & 1) !== 0;
  const lengths = [4, 4, 100, 4].filter((_, i) => flags & (1 << i));
  const encoder = at + 8 + lengths.reduce((a, b) => a + b, 0);
  if (!hasFrames || !ENCODERS.includes(head.slice(encoder, encoder + 4))) return WHOLE;
  const gaps = word(head, encoder + 20) & 0xffffff;
  const [delay, padding] = [gaps >> 12, gaps & 0xfff];
  const nSamples = word(head, at + 8) * (sampleRate < 32_000 ? 576 : 1152);
  return {
    start_s: (delay + DECODER_DELAY) / sampleRate,
    end_s: (nSamples - padding + DECODER_DELAY) / sampleRate,
    total_s: nSamples / sampleRate,
  };
}

/** Return the length in bytes of the leading ID3 tag; 0 without one. */
async function id3Length(file: Blob): Promise<number> {
  const head = await bytesOf(file, 0, 10);
  if (!head.startsWith("ID3")) return 0;
  const size = [6, 7, 8, 9].reduce((sum, i) => sum * 128 + (head.charCodeAt(i) & 127), 0);
  return 10 + size;
}

/** Return bytes as a string with one character per byte. */
async function bytesOf(file: Blob, from: number, n: number): Promise<string> {
  const bytes = new Uint8Array(await file.slice(from, from + n).arrayBuffer());
  return String.fromCharCode(...bytes);
}

function word(text: string, at: number): number {
  return [0, 1, 2, 3].reduce((sum, i) => (sum << 8) | text.charCodeAt(at + i), 0);
}
