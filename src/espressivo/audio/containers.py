"""Detection of truncated files from the sizes that their own headers announce.

FFmpeg reports no fault in most files that were cut: it decodes a shorter recording.
The user needs a warning, since the report then covers only a part. What a header only
estimates, or leaves open as writers to a pipe do, announces nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

# Formats, as FFmpeg names them, that say or show how long they are, to a second or so:
# Ogg by the position of its last page, WAV by its size.
_ANNOUNCING = {"ogg", "wav", "matroska,webm"}
_OGG_PAGE = 65_307  # bytes of the longest page: 27 + 255 + 255 * 255 (RFC 3533)
# Sizes from here on are left by writers that cannot seek: SoX writes 0x7FFFF000 and
# some more, FFmpeg 0xFFFFFFFF. Real files of that size have the header RF64.
_ENDLESS = 0x7FFF_0000
_MOST_CHUNKS = 10_000  # more are damage
# Formats whose streams declare a number of samples, as FFmpeg names them.
_EXACT = {"flac", "wv", "tta", "ape"}
# Boxes of the top level of MP4 and QuickTime; other bytes were put behind the end, such
# as an ID3 tag.
_BOXES = (
    *(b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"uuid"),
    *(b"sidx", b"ssix", b"styp", b"meta", b"udta", b"pnot", b"prft", b"emsg", b"pdin"),
)


def missing_end(file: BinaryIO) -> str | None:
    """Return a description of the missing end of a file; None if it is complete.

    Formats that announce no size return None. The file must be seekable; its position
    is restored.
    """
    position = file.tell()
    try:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(12)
        for magic, at, look in _FORMATS:
            if head[at : at + len(magic)] == magic:
                return look(file, n_bytes)
    except (OSError, OverflowError):  # a damaged size leads beyond all files
        return None
    finally:
        file.seek(position)
    return None


def lacks_index(file: BinaryIO) -> bool:
    """Return whether a file is MP4 or QuickTime without the box that describes it.

    Phones write it last, so an interrupted recording lacks it; segments of a stream
    have it in the first one only. The position of the file is restored.
    """
    position = file.tell()
    at = 0
    try:
        n_bytes = file.seek(0, os.SEEK_END)
        for _ in range(_MOST_CHUNKS):
            file.seek(at)
            head = file.read(16)
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            is_whole = 8 <= size <= n_bytes - at
            if name not in _BOXES or not is_whole:
                return at > 0 or name in _BOXES
            if name == b"moov":
                return False
            at += size
    finally:
        file.seek(position)
    return False


def declares_duration(file: BinaryIO | None, format_name: str) -> bool:
    """Return whether the duration of a stream is declared, not estimated by FFmpeg.

    Args:
        file: The file; its position is restored. None: it cannot be read again.
        format_name: FFmpeg's name of the container format.
    """
    if format_name == "mp3":
        if file is None:
            return False
        position = file.tell()
        try:
            file.seek(0)
            head = file.read(10)
            # ID3v2 states its size in four times seven bits.
            n_tag = 0
            if head[:3] == b"ID3":
                n_tag = 10 + sum(b << 7 * i for i, b in enumerate(head[9:5:-1]))
            file.seek(n_tag)
            frame = file.read(256)
            n_bytes = file.seek(0, os.SEEK_END)
        finally:
            file.seek(position)
        if b"VBRI" in frame:
            return True
        at = max(frame.find(b"Xing"), frame.find(b"Info"))
        return at >= 0 and not _is_followed(frame[at:], n_bytes - n_tag)
    return "mp4" in format_name or format_name in _EXACT


def announces_duration(file: BinaryIO | None, format_name: str) -> bool:
    """Return whether a duration is near the real one, unless the file is cut or forged.

    Args:
        file: As for `declares_duration`.
        format_name: FFmpeg's name of the container format.
    """
    return format_name in _ANNOUNCING or declares_duration(file, format_name)


def _is_followed(note: bytes, n_bytes: int) -> bool:
    """Return whether an MP3 is longer than its note says: others were put after it.

    FFmpeg then estimates the duration (libavformat/mp3dec.c, `mp3_parse_info_tag`).
    """
    flags = int.from_bytes(note[4:8], "big")
    if not flags & 2:
        return False
    at = 12 if flags & 1 else 8
    size = int.from_bytes(note[at : at + 4], "big")
    return n_bytes - size > size / 16


def _missing_riff(file: BinaryIO, n_bytes: int) -> str | None:
    """Compare the chunk `data`: the size of the whole is wrong in harmless files."""
    file.seek(0)
    is_64 = file.read(4) in (b"RF64", b"BW64")
    at = 12
    data_64 = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if name == b"ds64":
            file.seek(8, os.SEEK_CUR)
            data_64 = int.from_bytes(file.read(8), "little")
        is_sound = name in (b"data", b"LIST") and (name == b"data" or _is_movie(file))
        if is_sound and is_64:
            size = data_64
        if is_sound and size > 0 and (is_64 or size < _ENDLESS):
            return _compared(n_bytes, at + 8 + size)
        if is_sound or len(name) < 4 or at > n_bytes:
            return None
        at += 8 + size + size % 2
    return None


def _is_movie(file: BinaryIO) -> bool:
    return file.read(4) == b"movi"


def _missing_aiff(file: BinaryIO, n_bytes: int) -> str | None:
    file.seek(4)
    size = int.from_bytes(file.read(4), "big")
    return _compared(n_bytes, 8 + size) if 0 < size < _ENDLESS else None


def _missing_w64(file: BinaryIO, n_bytes: int) -> str | None:
    file.seek(16)  # after the GUID `riff`
    size = int.from_bytes(file.read(8), "little")
    return _compared(n_bytes, size) if 0 < size < 2**63 else None


def _missing_au(file: BinaryIO, n_bytes: int) -> str | None:
    file.seek(4)
    begin, size = (int.from_bytes(file.read(4), "big") for _ in range(2))
    return _compared(n_bytes, begin + size) if 0 < size < _ENDLESS else None


def _missing_caf(file: BinaryIO, n_bytes: int) -> str | None:
    """Walk the chunks (Apple Core Audio Format specification)."""
    at = 8
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(12)
        name, size = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if len(head) < 12 or size < 0:  # -1: the chunk reaches to the end
            return None
        if name == b"data":
            return _compared(n_bytes, at + 12 + size) if size else None
        at += 12 + size
    return None


def _missing_mp4(file: BinaryIO, n_bytes: int) -> str | None:
    """Walk the boxes of the top level (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        # Size 0: the box reaches to the end. Anything below 8 is no box.
        if size < 8 or head[4:8] not in _BOXES:
            return None
        at += size
        if at > n_bytes:
            return _compared(n_bytes, at)
    return None


def _missing_matroska(file: BinaryIO, n_bytes: int) -> str | None:
    """Compare the size of the segment (RFC 8794, sections 4 and 6)."""
    file.seek(4)
    n_head = _vint(file)
    if n_head is None:
        return None
    file.seek(n_head, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return None
    size = _vint(file)
    return None if size is None else _compared(n_bytes, file.tell() + size)


def _vint(file: BinaryIO) -> int | None:
    """Read a variable-size integer; None if it is damaged or means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    n = 9 - first[0].bit_length()
    value = first[0] & (0xFF >> n)
    for byte in file.read(n - 1):
        value = value << 8 | byte
    return None if value == (1 << 7 * n) - 1 else value


def _missing_asf(file: BinaryIO, n_bytes: int) -> str | None:
    """Compare the size in the file properties object (ASF specification, 3.2)."""
    file.seek(0)
    head = file.read(4096)
    at = head.find(bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365"))
    if at < 0:
        return None
    size = int.from_bytes(head[at + 40 : at + 48], "little")
    is_live = bool(head[at + 88 : at + 89][0] & 1) if len(head) > at + 88 else True
    return None if is_live or not size else _compared(n_bytes, size)


def _missing_ogg(file: BinaryIO, n_bytes: int) -> str | None:
    # Source: RFC 3533, section 6. Byte 26 of a page holds the number of segments, and
    # their sizes follow. A missing flag "end of stream" is harmless: Telegram for
    # Android never sets it.
    file.seek(max(0, n_bytes - 2 * _OGG_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    n_wanted = 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else 27
    return None if len(page) >= n_wanted else "only a part of its last page"


def _compared(n_bytes: int, announced: int) -> str | None:
    # One missing byte is tolerated: many writers forget to pad chunks to even sizes.
    if n_bytes + 1 >= announced:
        return None
    return f"{n_bytes} bytes of the {announced} that its header announces"


_FORMATS: list[tuple[bytes, int, Callable[[BinaryIO, int], str | None]]] = [
    (b"RIFF", 0, _missing_riff),
    (b"RF64", 0, _missing_riff),
    (b"BW64", 0, _missing_riff),
    (b"OggS", 0, _missing_ogg),
    (b"FORM", 0, _missing_aiff),
    (b"riff\x2e\x91\xcf\x11", 0, _missing_w64),
    (b".snd", 0, _missing_au),
    (b"caff", 0, _missing_caf),
    (b"ftyp", 4, _missing_mp4),
    (b"\x1a\x45\xdf\xa3", 0, _missing_matroska),
    (bytes.fromhex("3026B2758E66CF11"), 0, _missing_asf),
]
