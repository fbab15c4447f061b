"""Detection of truncated WAV and Ogg files from their own headers and pages.

FFmpeg reports no fault in a WAV or Ogg file that was cut in half: it decodes a shorter
recording. The user needs a warning, since the report then covers only a part.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_OGG_PAGE = 65_307  # bytes of the longest page: 27 + 255 + 255 * 255 (RFC 3533)
_ENDLESS = (0, 0xFFFFFFFF)  # RIFF sizes left by writers that cannot seek (pipes)


def missing_end(file: BinaryIO) -> str | None:
    """Return a description of the missing end of a WAV or Ogg file; None if complete.

    Other formats return None. The file must be seekable; its position is restored.
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
    # One missing byte is tolerated: many writers forget to pad chunks to even sizes.
    if announced not in _ENDLESS and n_bytes + 1 < announced + 8:
        return f"{n_bytes} bytes of the {announced + 8} that its header announces"
    return None


def _missing_ogg(tail: bytes) -> str | None:
    # Source: RFC 3533, section 6. Byte 5 holds the flags (4 = end of stream), byte 26
    # the number of segments, and the segment sizes follow.
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at >= 0 and len(page) >= 27:
        n_segments = page[26]
        n_wanted = 27 + n_segments + sum(page[27 : 27 + n_segments])
        if page[5] & 4 and len(page) >= n_wanted:
            return None
    return "no end-of-stream page"
