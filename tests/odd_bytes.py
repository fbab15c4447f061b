"""Patches of recordings, byte by byte: what FFmpeg's muxers never write."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END_OF_STREAM = 4


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an Ogg file (RFC 3533, section 6)."""

    flags: int
    granule: int
    serial: int
    number: int
    lacing: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        head = struct.pack(
            "<4sBBqII", b"OggS", 0, self.flags, self.granule, self.serial, self.number
        )
        tail = bytes([len(self.lacing)]) + self.lacing + self.body
        checksum = _crc(head + bytes(4) + tail)
        return head + struct.pack("<I", checksum) + tail


def ogg_pages(content: bytes) -> list[Page]:
    """Return the pages of an Ogg file."""
    pages, at = [], 0
    while at < len(content):
        _, _, flags, granule, serial, number, _, n = struct.unpack_from(
            "<4sBBqIIIB", content, at
        )
        lacing = content[at + 27 : at + 27 + n]
        begin = at + 27 + n
        at = begin + sum(lacing)
        pages.append(Page(flags, granule, serial, number, lacing, content[begin:at]))
    return pages


def rewrite_ogg(path: Path, *, shift: int = 0, pre_skip: int | None = None) -> Path:
    """Move all granule positions by `shift`, and state another pre-skip of Opus."""
    pages = ogg_pages(path.read_bytes())
    done = []
    for i, page in enumerate(pages):
        body = page.body
        if i == 0 and pre_skip is not None:
            body = body[:10] + struct.pack("<H", pre_skip) + body[12:]
        granule = page.granule + shift if page.granule > 0 else page.granule
        done.append(replace(page, body=body, granule=granule))
    return _save(path, done)


def cut_ogg(path: Path, n_dropped: int) -> Path:
    """Drop the first pages of sound, as one who joins a radio stream late."""
    pages = ogg_pages(path.read_bytes())
    n_heads = sum(page.granule == 0 for page in pages)
    return _save(path, pages[:n_heads] + pages[n_heads + n_dropped :])


def drop_end_flag(path: Path) -> Path:
    """Clear the flag "end of stream"."""
    pages = ogg_pages(path.read_bytes())
    return _save(path, [replace(p, flags=p.flags & ~END_OF_STREAM) for p in pages])


def join(path: Path, *parts: Path) -> Path:
    """Put files together, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def edit(path: Path, *edits: tuple[float, float]) -> Path:
    """Replace the edit list of the first track of an MP4 file without fragments.

    Args:
        path: An MP4 file whose index stands at its end.
        edits: Duration and start in the media, in seconds; start -1: an empty edit.
    """
    content = path.read_bytes()
    at, size = next((a, n) for name, a, n in _boxes(content) if name == b"moov")
    assert at + size == len(content), "the index must stand at the end"
    movie = content[at + 8 : at + size]
    movie_scale = _time_scale(_box(movie, b"mvhd"))
    track = _box(movie, b"trak")
    media_scale = _time_scale(_box(_box(track, b"mdia"), b"mdhd"))
    entries = b"".join(
        struct.pack(
            ">IiI",
            round(duration_s * movie_scale),
            -1 if start_s < 0 else round(start_s * media_scale),
            0x10000,
        )
        for duration_s, start_s in edits
    )
    table = _boxed(b"elst", struct.pack(">II", 0, len(edits)) + entries)
    edited = _replaced(track, b"edts", _boxed(b"edts", table))
    movie = _replaced(movie, b"trak", _boxed(b"trak", edited))
    path.write_bytes(content[:at] + _boxed(b"moov", movie))
    return path


def disable(path: Path, *tracks: int) -> Path:
    """Clear the flag "enabled" of tracks of an MP4 file, counted from 1."""
    content = bytearray(path.read_bytes())
    at = -1
    for number in range(1, max(tracks, default=0) + 1):
        at = content.index(b"tkhd", at + 1)
        if number in tracks:
            content[at + 7] &= ~1
    path.write_bytes(content)
    return path


def substitute(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes by as many others, wherever they are; renew Ogg's checksums."""
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    content = content.replace(old, new)
    if content.startswith(b"OggS"):
        content = b"".join(page.to_bytes() for page in ogg_pages(content))
    path.write_bytes(content)
    return path


def state_size(
    path: Path, *, riff: int | None = None, sound: int | None = None
) -> Path:
    """State other sizes in a WAV file: of the whole, and of its chunk `data`."""
    content = bytearray(path.read_bytes())
    if riff is not None:
        content[4:8] = struct.pack("<I", riff)
    if sound is not None:
        at = content.index(b"data") + 4
        content[at : at + 4] = struct.pack("<I", sound)
    path.write_bytes(content)
    return path


def _save(path: Path, pages: list[Page]) -> Path:
    path.write_bytes(b"".join(page.to_bytes() for page in pages))
    return path


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, position and size of boxes (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        yield name, at, size
        at += size


def _box(content: bytes, wanted: bytes) -> bytes:
    at, size = next((a, n) for name, a, n in _boxes(content) if name == wanted)
    return content[at + 8 : at + size]


def _boxed(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _replaced(content: bytes, wanted: bytes, box: bytes) -> bytes:
    for name, at, size in _boxes(content):
        if name == wanted:
            return content[:at] + box + content[at + size :]
    raise AssertionError(f"no box {wanted!r}")


def _time_scale(head: bytes) -> int:
    (scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    return int(scale)


def _crc(content: bytes) -> int:
    value = 0
    for byte in content:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[(value >> 24) ^ byte]
    return value


def _crc_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if value >> 31 else 0)
    return value


_CRC = [_crc_of(byte) for byte in range(256)]
