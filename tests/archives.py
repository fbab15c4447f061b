"""Small archives for tests: pieces of the example, and files with defects."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from espressivo.types import SAMPLE_RATE
from tests.conftest import NOTE
from tests.recordings import encode, encode_picture

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.types import Signal

TABLES = ("recordings", "windows", "failures")

BROKEN = {
    "broken/cut.m4a": "unreadable",
    "broken/directory.wav": None,  # not a file, so nothing to analyse in a folder
    "broken/empty.ogg": "empty",
    "broken/film.mp4": "no sound",
    "broken/garbage.flac": "unreadable",
    "broken/link.wav": "missing",
    "broken/loop.wav": "not opened",
    "broken/nan.mka": "not finite",
    "broken/pipe.wav": "no file",
    "broken/text.mp3": "unreadable",
}
"""Broken files of the tree, with the expected kind of failure."""

KINDS = {id_: kind for id_, kind in BROKEN.items() if kind is not None}


def build_notes(root: Path, note: Signal, n: int = 14) -> Path:
    """Write n pieces of a note, a silent recording, and files with several defects."""
    (root / "days" / "monday").mkdir(parents=True)
    rng = np.random.default_rng(7)
    for i in range(n):
        start = int(rng.integers(0, len(note) - 4 * SAMPLE_RATE))
        piece = note[start : start + int(rng.integers(2, 5)) * SAMPLE_RATE]
        place = root / "days" / ("monday" if i % 2 else ".")
        encode(place / f"{i:03}.{('wav', 'ogg', 'mp3')[i % 3]}", piece)
    encode(root / "silence.wav", np.zeros(SAMPLE_RATE, np.float32))
    _break(root / "broken")
    (root / "readme.txt").write_text("no recording")
    encode(root / ".hidden.wav", note[:SAMPLE_RATE])
    return root


def _break(folder: Path) -> None:
    folder.mkdir()
    (folder / "cut.m4a").write_bytes(NOTE.read_bytes()[:2000])
    (folder / "directory.wav").mkdir()
    (folder / "empty.ogg").touch()
    encode_picture(folder / "film.mp4")
    (folder / "garbage.flac").write_bytes(np.random.default_rng(1).bytes(9000))
    (folder / "link.wav").symlink_to("nowhere")
    (folder / "loop.wav").symlink_to("loop.wav")
    encode(folder / "nan.mka", np.full(SAMPLE_RATE, np.nan, np.float32))
    os.mkfifo(folder / "pipe.wav")
    (folder / "text.mp3").write_text("hello\n" * 100)


def contents(archive: Path) -> dict[str, bytes]:
    """Return the content of every file of an archive by name, without hidden files."""
    return {
        path.relative_to(archive).as_posix(): path.read_bytes()
        for path in sorted(archive.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def rows(archive: Path, table: str) -> list[dict]:
    """Return the rows of a table, read as one folder like users read it."""
    from pyarrow import parquet

    return parquet.read_table(archive / table).to_pylist()


def command(*args: object) -> list[str]:
    """Return the command line of `espressivo archive`."""
    return [sys.executable, "-m", "espressivo", "archive", *map(str, args)]


def run(*args: object, limit_kib: int | None = None) -> subprocess.CompletedProcess:
    """Run `espressivo archive`, optionally with a limit on the size of files."""
    argv = command(*args)
    if limit_kib is not None:
        argv = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *argv]
    return subprocess.run(argv, capture_output=True, text=True, check=False)
