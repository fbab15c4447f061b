"""Whether a container is complete, by its own headers and pages.

FFmpeg reads what is there and is silent about what is not: a WAV or Ogg file cut in
half is a shorter recording to it. Users who record evidence need to know.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_OGG_PAGE = 65_307  # bytes of the longest page
_ENDLESS = (0, 0xFFFFFFFF)  # RIFF sizes of writers that could not seek back


def missing_end(file: BinaryIO) -> str | None:
    """Return what is missing at the end of a WAV or Ogg file, or None.

    The file must be seekable, and is left where it was.
    """
    position = file.tell()
    try:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"RIFF":
            return _missing_riff(head, n_bytes)
        if head[:4] == b"OggS":
            file.seek(max(0, n_bytes - 2 * _OGG_PAGE))
            return _missing_ogg(file.read())
    finally:
        file.seek(position)
    return None


def _missing_riff(head: bytes, n_bytes: int) -> str | None:
    announced = int.from_bytes(head[4:8], "little")
    # One byte less is the common fault of writers that forget the padding.
    if announced not in _ENDLESS and n_bytes + 1 < announced + 8:
        return f"{n_bytes} bytes of the {announced + 8} that its header announces"
    return None


def _missing_ogg(tail: bytes) -> str | None:
    # Source: RFC 3533, section 6: flags at byte 5 (4 = end of stream), number of
    # segments at byte 26, their sizes after it.
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at >= 0 and len(page) >= 27:
        n_segments = page[26]
        n_wanted = 27 + n_segments + sum(page[27 : 27 + n_segments])
        if page[5] & 4 and len(page) >= n_wanted:
            return None
    return "no end-of-stream page"
