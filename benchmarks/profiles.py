"""What a profile adds to the time of an analysis: using it, and learning from it.

In turn, in one process, on one thread: the analysis of a recording without a profile,
and with one that is loaded, learns from the recording and is saved. Medians of both
times, and of their ratios.

    python benchmarks/profiles.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import espressivo
from espressivo.audio import load_audio
from espressivo.profile import Profile, create, learn

NOTE = Path(__file__).parents[1] / "examples" / "voice-note.m4a"
ROUNDS = 21
LENGTHS_S = (8, 24, 120)
BAR = 0.02


def main() -> None:
    """Print seconds of both, and by how much the second is longer."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESPRESSIVO_PROFILES"] = folder
        plain = espressivo.load_model(threads=1)
        create(Profile.new("me", plain.classifier))
        note = load_audio(NOTE)
        print(f"recording   without   with profile   more   (bar: {BAR:.0%})")
        for seconds in LENGTHS_S:
            signal = np.resize(note, seconds * 16_000)
            times = [_round(plain, signal) for _ in range(ROUNDS)]
            without, using = (
                statistics.median(part) for part in zip(*times, strict=True)
            )
            more = statistics.median(after / before for before, after in times) - 1
            print(f"{seconds:7d} s {without:9.4f} s {using:11.4f} s {more:8.2%}")


def _round(plain: espressivo.Analyzer, signal: np.ndarray) -> tuple[float, float]:
    began = time.perf_counter()
    plain.analyze(signal)
    between = time.perf_counter()
    analyzer = plain.with_profile(Profile.load("me"))
    report = analyzer.analyze(signal)
    assert report.voice is not None
    learn("me", report.voice)
    return between - began, time.perf_counter() - between


if __name__ == "__main__":
    main()
