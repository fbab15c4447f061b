"""Outside text made fit to be shown: names of files, tags, messages of libraries."""

from __future__ import annotations

import re

# Characters that act on a terminal or on the text around them: control characters (ESC,
# C1), line and paragraph separators, marks of writing direction, and halves of
# characters, which are bytes of names that are no UTF-8. Joiners stay, since scripts
# and emoji need them.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def to_unicode(text: str) -> str:
    r"""Return text that UTF-8 can encode; other bytes of a file's name are escaped.

    >>> to_unicode("caf\udce9.wav")
    'caf\\udce9.wav'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_line(text: object) -> str:
    r"""Return text as one line that does nothing to a terminal.

    >>> to_line("a\nb\x1b[31m")
    'a\\nb\\x1b[31m'
    """
    return _ACTING.sub(lambda found: escaped(found[0]), str(text))


def to_lines(text: str) -> str:
    """Return the same of text of several lines, which stay."""
    return "\n".join(map(to_line, text.split("\n")))


def shortened(text: str, most: int = 200) -> str:
    """Return text without its middle, if it is longer than `most` characters.

    >>> shortened("a" * 30 + "b", 11)
    'aaaa...aaab'
    """
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def reason_of(error: Exception) -> str:
    """Return what an error says, in the middle of a sentence."""
    text = str(getattr(error, "strerror", None) or error).rstrip(".")
    if not text:
        return type(error).__name__
    # "No such file", but "I/O operation".
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def escaped(character: str) -> str:
    """Return a character as Python writes it within a string."""
    code = ord(character)
    if code < 0x100:
        return _NAMED.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_clock(seconds: int) -> str:
    """Return whole seconds as m:ss, or as h:mm:ss from one hour on.

    >>> to_clock(75), to_clock(3661)
    ('1:15', '1:01:01')
    """
    minutes, s = divmod(seconds, 60)
    h, m = divmod(minutes, 60)
    return f"{h}:{m:02}:{s:02}" if h else f"{m}:{s:02}"
