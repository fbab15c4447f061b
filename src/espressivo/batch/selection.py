"""Which files of a folder are recordings: by the ending of the name, or by content.

A name that ends as recordings do is believed: what such a file really holds, the
analysis finds out. Other files are looked into, at a constant cost.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from espressivo.audio.headerless import HEADERLESS_SUFFIXES
from espressivo.audio.signatures import HEAD_BYTES, signature_of

_ENDINGS = """
    3g2 3gp 3gpp 3gpp2 aac ac3 adts aif aifc aiff amr ape asf au avi awb bwf caf divx
    dff ds2 dsf dss eac3 ec3 f4a f4b f4v flac flv latm m2a m2ts m4a m4b m4p m4r m4v mka
    mkv mov mp1 mp2 mp3 mp4 mpa mpc mpe mpeg mpg mpga mxf nist oga ogg ogm ogv ogx oma
    opus qcp qta ra rf64 rm rmvb shn silk snd sph spx tak tta vob voc vox w64 wav wave
    weba webm wma wmv wtv wv"""
SUFFIXES = HEADERLESS_SUFFIXES | {f".{ending}" for ending in _ENDINGS.split()}
"""Lower-case suffixes of the files that count as recordings without a look inside."""

# What the content of these does not say: their formats have no magic number.
_OTHERS = {
    "model or weights": "onnx pt pth ckpt tflite gguf safetensors",
    "program": "pyc pyo o obj class dll so dylib lib jar exe msi apk",
    "database": "db db-wal db-shm ldb mdb accdb sqlite-journal",
    "table": "npy npz pkl pickle feather parquet rds rdata mat dta sav arrow",
    "project of an editor": "ptx ptf cpr npr flp veg logic band sesx aup aup3 als rpp",
    "index of a disc or camera": "ifo bup bdm cpi mpl clpi mpls ind moff",
    "waveform of an editor": "sfk pkf pek reapeaks asd ovw wfm peak peaks gpk cfa mrk",
    "picture": "ico icns tga heic heif avif webp cr2 nef arw dng svgz",
    "document": "doc xls ppt pages numbers one",
    "compressed file": "lz lzma z br lz4 lzo cab iso dmg img vhd",
    "font": "ttf ttc eot",
    "key or signature": "p12 pfx sig gpg der cer key",
}
_OTHER_BY_SUFFIX = {
    f".{ending}": kind
    for kind, endings in _OTHERS.items()
    for ending in endings.split()
}
_PARTIAL = frozenset(
    f".{ending}"
    for ending in (
        *("part", "partial", "crdownload", "download", "opdownload", "filepart"),
        *("!ut", "!qb", "aria2", "bc!", "dtapart", "unconfirmed", "ytdl"),
    )
)
_SYSTEM = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))


class LeftOut(NamedTuple):
    """A file or folder that is no recording.

    Attributes:
        path: Path relative to the folder that was searched.
        kind: Why it is left out, such as `text` or `hidden`.
    """

    path: str
    kind: str


def why_left_out(entry: os.DirEntry[str]) -> str | None:
    """Return why a file of a folder is no recording; None: it is one, or may be.

    At most the first 4 kB are read, and only if the name does not tell.
    """
    name = entry.name
    if name[0] == ".":  # also AppleDouble files, `._note.m4a`
        return "hidden"
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path costs more
    if suffix in SUFFIXES:
        return None
    if suffix in _PARTIAL:
        return "partial download"
    if name.lower() in _SYSTEM or name.startswith("~$"):
        return "file of the system"
    return _by_content(entry.path, suffix)


def _by_content(path: str, suffix: str) -> str | None:
    try:
        head = _head(path)
    except OSError as error:  # the analysis says why it cannot be opened
        head = _SPECIAL if error.errno == errno.ENXIO else b""  # a socket
    if isinstance(head, str):
        return head
    found = signature_of(head)
    if found is None:
        return _OTHER_BY_SUFFIX.get(suffix)
    return None if found.is_media else found.name


def _head(path: str) -> bytes | str:
    """Return the first bytes of a file, or what else it is."""
    try:
        # Not blocking: opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | _NOT_BLOCKING)
    except FileNotFoundError:
        return "broken link"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _SPECIAL
        return os.read(descriptor, HEAD_BYTES) or "empty"
    finally:
        os.close(descriptor)


_SPECIAL = "pipe, device or socket"
_NOT_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
