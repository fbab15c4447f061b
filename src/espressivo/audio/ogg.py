"""Links of a chained Ogg file: streams that were put together, one after the other.

FFmpeg goes on to the next link only if it has the same codec and channels. So each link
is opened as a file of its own.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_MAGIC = b"OggS"
_HEAD = 27  # bytes of a page before its table of segments
_PIECE_BYTES = 2**16
_MOST_LINKS = 1000  # more are damage


def find_links(file: BinaryIO) -> list[tuple[int, int]]:
    """Return the spans of bytes of all links, in order; none if it is no Ogg file.

    A link begins where a page begins a stream after pages that did not (RFC 3533,
    section 4).

    Args:
        file: The file, seekable; its position becomes its beginning.
    """
    starts: list[int] = []
    at = previous = 0
    is_head = False
    file.seek(0)
    is_ogg = file.read(4) == _MAGIC
    while is_ogg:
        file.seek(at)
        head = file.read(_HEAD)
        if head[:4] != _MAGIC:
            # The page before is damaged or cut, and is not as long as it says.
            found = _next_page(file, previous + 4)
            if found is None:
                break
            at = found
            continue
        if len(head) < _HEAD:
            break
        begins = bool(head[5] & 2)
        if begins and not is_head:
            starts.append(at)
        is_head = begins
        previous = at
        at += _HEAD + head[26] + sum(file.read(head[26]))
    n = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not 0 < len(starts) <= _MOST_LINKS:
        return []
    return list(zip(starts, [*starts[1:], n], strict=True))


def _next_page(file: BinaryIO, at: int) -> int | None:
    """Return the position of the next page from `at` on; None if there is none."""
    file.seek(at)
    tail = b""
    while piece := file.read(_PIECE_BYTES):
        found = (tail + piece).find(_MAGIC)
        if found >= 0:
            return at - len(tail) + found
        at += len(piece)
        tail = piece[-3:]
    return None
