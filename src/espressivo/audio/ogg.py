"""Links of a chained Ogg file: streams that were put together, one after the other.

FFmpeg goes on to the next link only if it has the same codec and channels. So each link
is opened as a file of its own.
"""

from __future__ import annotations

from typing import BinaryIO

_HEAD = 27  # bytes of a page before its table of segments
_MOST_LINKS = 1000  # more are damage


def find_links(file: BinaryIO) -> list[tuple[int, int]]:
    """Return the spans of bytes of all links, in order; none if it is no Ogg file.

    A link begins where a page begins a stream after pages that did not (RFC 3533,
    section 4). After damage, the rest of the file belongs to the last link.

    Args:
        file: The file, seekable; its position becomes its beginning.
    """
    starts: list[int] = []
    at, is_head = 0, False
    file.seek(0)
    while True:
        head = file.read(_HEAD)
        if len(head) < _HEAD or head[:4] != b"OggS":
            break
        begins = bool(head[5] & 2)
        if begins and not is_head:
            starts.append(at)
        is_head = begins
        n_bytes = sum(file.read(head[26]))
        at += _HEAD + head[26] + n_bytes
        file.seek(at)
    n = file.seek(0, 2)
    file.seek(0)
    if not 0 < len(starts) <= _MOST_LINKS:
        return []
    return list(zip(starts, [*starts[1:], n], strict=True))
