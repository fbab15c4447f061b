"""Printing for people and programs: outside text does nothing to a terminal."""

from __future__ import annotations

import json
import re
import sys

from espressivo.files.excel import to_excel
from espressivo.text import to_line, to_lines

# What JSON may hold as it is, but a terminal or a parser must not get: control
# characters, marks of writing direction, and halves of characters, which stand for
# bytes of a name that is no UTF-8.
_ACTING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_HALF = re.compile("[\ud800-\udfff]")


def say(text: object = "") -> None:
    """Print one line on standard output."""
    print(to_line(text), flush=True)


def tell(text: object) -> None:
    """Print one line on standard error."""
    print(to_line(text), file=sys.stderr, flush=True)


def print_lines(text: str) -> None:
    """Print text of several lines, the last of which ends with a newline."""
    print(to_lines(text), end="")


def print_csv(text: str, *, excel: bool, first: bool = True) -> None:
    """Print CSV, with `excel` in the form and the encoding that Excel opens.

    Args:
        text: The CSV.
        excel: Whether it is for Excel.
        first: Whether nothing was printed before it.
    """
    if not excel:
        print_lines(text)
        return
    marked = to_excel(to_lines(text), first=first)
    sys.stdout.flush()
    # The mark says UTF-8, whatever the encoding of standard output.
    stream = sys.stdout  # of `standard_streams`, which remembers that a reader has gone
    write = getattr(stream, "write_bytes", None) or stream.buffer.write
    write(marked.encode("utf-8"))
    sys.stdout.flush()


def print_json(text: str) -> None:
    """Print JSON so that it is valid whatever the encoding of standard output."""
    encoding = (sys.stdout.encoding or "").lower()
    unsafe = _ACTING if encoding.startswith("utf") else _NOT_ASCII
    # An escaped half would be no text for a strict parser, so its backslash is escaped.
    whole = _HALF.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)
    print(unsafe.sub(lambda found: _escaped(found[0]), whole))


def _escaped(character: str) -> str:
    """Return the escape of a character inside a string of JSON."""
    code = ord(character)
    # JSON writes characters beyond U+FFFF as two.
    return f"\\u{code:04x}" if code < 0x10000 else json.dumps(character)[1:-1]
