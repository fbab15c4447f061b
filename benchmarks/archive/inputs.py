"""Manifests for the benchmarks of archives: real recordings, some of them broken."""

from __future__ import annotations

import csv
import os
import wave
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from espressivo.batch import find_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOTE = Path(__file__).parents[2] / "examples" / "voice-note.m4a"
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a manifest.

    Attributes:
        id: Unique id.
        path: Path of the recording.
        way: Kind of defect, a key of `WAYS`; None for an intact recording.
    """

    id: str
    path: Path
    way: str | None = None


def sample(recordings: Path, n: int, seed: int) -> list[Item]:
    """Draw n recordings of a folder, evenly spread over the sorted paths.

    The paths are divided into n equal parts, and one recording is drawn from each.
    Where the folder holds fewer than n, some are repeated under another id.
    """
    entries = find_entries(recordings)
    draws = np.arange(n) + np.random.default_rng(seed).random(n)
    chosen = (entries[int(draw * len(entries) / n)] for draw in draws)
    return [
        Item(f"{i:06}/{entry.id}", Path(entry.path)) for i, entry in enumerate(chosen)
    ]


def break_some(items: Sequence[Item], folder: Path, seed: int) -> list[Item]:
    """Replace a random tenth of the items with broken files, each defect in turn.

    Args:
        items: Intact recordings.
        folder: Folder for the broken files, each in a subfolder of its own.
        seed: Seed that draws the replaced items and the contents.
    """
    rng = np.random.default_rng([seed, 1])
    mixed = list(items)
    places = rng.choice(len(mixed), len(mixed) // 10, replace=False)
    for turn, place in enumerate(places.tolist()):
        way = list(WAYS)[turn % len(WAYS)]
        name, make = WAYS[way]
        path = folder / f"{place:06}" / name
        path.parent.mkdir(parents=True)
        make(path, rng)
        mixed[place] = Item(f"{place:06}/{name}", path, way)
    return mixed


def write_manifest(path: Path, items: Sequence[Item]) -> Path:
    """Write a manifest of ids and paths, and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "path"])
        table.writerows((item.id, item.path) for item in items)
    return path


def _empty(path: Path, _rng: np.random.Generator) -> None:
    path.touch()


def _text(path: Path, rng: np.random.Generator) -> None:
    path.write_text("no sound here\n" * int(rng.integers(1, 1000)), "utf-8")


def _random(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(rng.bytes(int(rng.integers(1, 30_000))))


def _zip(path: Path, rng: np.random.Generator) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", rng.bytes(9000))


def _cut(path: Path, _rng: np.random.Generator) -> None:
    path.write_bytes(NOTE.read_bytes()[:2000])


def _header(path: Path, _rng: np.random.Generator) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))


def _film(path: Path, _rng: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for shade in range(0, 250, 50):
            grey = np.full((32, 32, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
        container.mux(stream.encode(None))


def _nan(path: Path, rng: np.random.Generator) -> None:
    """Write 2 s of noise in which 0.1 s is NaN."""
    samples = (0.1 * rng.standard_normal(2 * RATE)).astype(np.float32)
    start = int(rng.integers(len(samples) - RATE // 10))
    samples[start : start + RATE // 10] = np.nan
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _pipe(path: Path, _rng: np.random.Generator) -> None:
    os.mkfifo(path)


def _dangling(path: Path, _rng: np.random.Generator) -> None:
    path.symlink_to("nowhere.wav")


def _loop(path: Path, _rng: np.random.Generator) -> None:
    path.symlink_to(path.name)


def _directory(path: Path, _rng: np.random.Generator) -> None:
    path.mkdir()


WAYS: dict[str, tuple[str, Callable[[Path, np.random.Generator], None]]] = {
    "empty file": ("empty.ogg", _empty),
    "text as .mp3": ("text.mp3", _text),
    "random bytes": ("random.flac", _random),
    "zip archive as .ogg": ("zip.ogg", _zip),
    ".m4a cut after 2,000 bytes": ("cut.m4a", _cut),
    "WAV header without samples": ("header.wav", _header),
    "film without sound": ("film.mp4", _film),
    "NaN samples": ("nan.wav", _nan),
    "named pipe": ("pipe.wav", _pipe),
    "dangling link": ("dangling.wav", _dangling),
    "link to itself": ("loop.wav", _loop),
    "directory": ("directory.wav", _directory),
}
"""Kind of defect -> (name of the file, function that writes it)."""
