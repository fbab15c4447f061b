/** Outside text made fit to be shown: names of files, of models and of profiles. */

// Characters that act on the text around them: control characters, line and paragraph
// separators, marks of writing direction, tags, and halves of characters. Joiners stay,
// since scripts and emoji need them.
const ACTING =
  /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}\u{e0000}-\u{e007f}]/gu;

/** Return text whose characters that act on others are written out, such as \u202e. */
export function toLine(text: string): string {
  return text.replace(ACTING, (one) => {
    const code = one.codePointAt(0) ?? 0;
    const digits = code.toString(16);
    return code > 0xffff ? `\\u{${digits}}` : `\\u${digits.padStart(4, "0")}`;
  });
}

/** Return text without its middle, if it is longer than `most` UTF-16 units. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  // A character of two units that would be cut is left out.
  const start = text.slice(0, half).replace(/[\ud800-\udbff]$/, "");
  const end = text.slice(-half).replace(/^[\udc00-\udfff]/, "");
  return `${start}…${end}`;
}
