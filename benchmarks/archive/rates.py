"""Cost per note by its length: real speech in Opus at 24 kbit/s."""

from __future__ import annotations

import statistics
from fractions import Fraction
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from rich.progress import Progress

from benchmarks.archive.inputs import Item, write_manifest
from benchmarks.archive.processes import Run, run
from benchmarks.recordings import RATE, read_speech

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LENGTHS_S = (5, 15, 30, 60, 300)
_FILES = 20
"""Number of different notes per length; manifests repeat them under other ids."""
_SPEECH_MINUTES = 15
"""Length of the speech from which notes are cut."""
_STARTS = 3


def rates(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time two workers on notes of several lengths; print a table and a linear fit.

    Args:
        args: Parsed command line.
        folder: Folder for notes and tables.

    Returns:
        Figures as JSON, with the list `problems`.
    """
    with Progress(transient=True) as bar:
        task = bar.add_task("runs", total=_STARTS + len(LENGTHS_S))
        speech = read_speech(args.speech, _SPEECH_MINUTES + max(LENGTHS_S) / 60)
        runs = Runs(folder, speech, lambda: bar.advance(task))
        starts = [runs.run(min(LENGTHS_S), 2) for _ in range(_STARTS)]
        start_wall_s = statistics.median(start.wall_s for start in starts)
        start_cpu_s = statistics.median(start.cpu_s for start in starts)
        rows = []
        for length_s in LENGTHS_S:
            n = max(2, round(args.n * 30 / length_s))
            done = runs.run(length_s, n)
            wall_s, cpu_s = done.wall_s - start_wall_s, done.cpu_s - start_cpu_s
            figures = {"notes_per_s": n / wall_s, "core_ms": 1e3 * cpu_s / n}
            rows.append({"length_s": length_s, "n": n, "wall_s": wall_s, **figures})
    start = {"start_wall_s": start_wall_s, "start_cpu_s": start_cpu_s}
    fit = _fit(rows)
    _print(rows, fit, start)
    return {**start, "rows": rows, "fit": fit, "problems": runs.problems}


class Runs:
    """Runs of the command on notes that are cut out of speech.

    Args:
        folder: Folder for notes and tables.
        speech: Mono [samples] at 16 kHz.
        on_run: Callback, called after every run.

    Attributes:
        problems: Descriptions of runs that failed.
    """

    def __init__(
        self, folder: Path, speech: NDArray[np.float32], on_run: Callable[[], None]
    ) -> None:
        self.problems: list[str] = []
        self._folder, self._speech, self._on_run = folder, speech, on_run

    def run(self, length_s: int, n: int) -> Run:
        """Analyse n notes of a length; notes repeat under other ids beyond `_FILES`."""
        folder = Path(mkdtemp(dir=self._folder))
        notes = [
            write_opus(folder / f"{i:02}.ogg", self._note(i, length_s))
            for i in range(min(n, _FILES))
        ]
        items = [Item(f"{i:06}", notes[i % len(notes)]) for i in range(n)]
        manifest = write_manifest(folder / "manifest.csv", items)
        done = run(manifest, folder / "out", "--workers", 2)
        if done.code:
            told = f"exit code {done.code}: {done.told.strip()}"
            self.problems.append(f"{n} notes of {length_s} s: {told}")
        self._on_run()
        return done

    def _note(self, i: int, length_s: int) -> NDArray[np.float32]:
        """Return note i; the starts of all notes are evenly spread over the speech."""
        start = i * _SPEECH_MINUTES * 60 * RATE // _FILES
        return self._speech[start : start + length_s * RATE]


def write_opus(path: Path, signal: NDArray[np.float32]) -> Path:
    """Write mono [samples] at 16 kHz as Opus of 24 kbit/s, usual for voice notes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 24_000
        frame = av.AudioFrame.from_ndarray(signal[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        pieces = av.AudioResampler("flt", "mono", RATE, stream.frame_size)
        for piece in (*pieces.resample(frame), *pieces.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def _fit(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Fit core_ms = a_ms + b_ms_per_s * length_s, by least squared relative errors."""
    lengths = np.array([row["length_s"] for row in rows])
    costs = np.array([row["core_ms"] for row in rows])
    b, a = np.polyfit(lengths, costs, 1, w=1 / costs)
    worst = float(np.abs((a + b * lengths) / costs - 1).max())
    return {"a_ms": float(a), "b_ms_per_s": float(b), "worst_relative_error": worst}


def _print(
    rows: Sequence[dict[str, float]], fit: dict[str, float], start: dict[str, float]
) -> None:
    print("| note | notes | wall s | notes/s | core ms a note |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['length_s']:.0f} s | {row['n']:.0f} | {row['wall_s']:.1f} "
            f"| {row['notes_per_s']:.1f} | {row['core_ms']:.1f} |"
        )
    print(
        f"\ncore ms = {fit['a_ms']:.1f} + {fit['b_ms_per_s']:.2f} x seconds (off by "
        f"{fit['worst_relative_error']:.0%} at most); not counted: the start, "
        f"{start['start_wall_s']:.2f} s and {start['start_cpu_s']:.2f} core s a command"
    )
