"""Time that a speaker profile adds to an analysis.

A recording is analysed without a profile, and then with a profile that is loaded,
updated with the recording and saved. Both are timed in turn: as whole commands, start
to exit, on all cores, and as calls within one process on one thread. Printed are the
medians of both times and of their ratios.

    python benchmarks/analyze/profiles.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.profile.profile import (
    Profile,
    create,
    learn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOTE = Path(__file__).parents[2] / "examples" / "voice-note.m4a"
ROUNDS = 61
LENGTHS_S = (8, 24, 120)


def main() -> None:
    """Print seconds without and with a profile, and the relative difference."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        if sys.platform != "linux":
            os.environ["ESPRESSIVO_PROFILES"] = folder
        plain = espressivo.load_model(threads=1)
        create(Profile.new("me", plain.classifier))
        note = load_audio(NOTE)
        print("                      without  with profile    more")
        for seconds in LENGTHS_S:
            signal = np.resize(note, seconds * 16_000)
            _personal(plain, signal)
            recording = _write(signal, Path(folder) / f"{seconds}.wav")
            command = [sys.executable, "-m", "espressivo", "analyze", str(recording)]
            personal = [*command, "--speaker", "me"]
            name = f"command, {seconds} s"
            _compare(name, partial(_run, command), partial(_run, personal))
            name = f"in process, {seconds} s"
            using = partial(_personal, plain, signal)
            _compare(name, partial(plain.analyze, signal), using)


def _compare(
    name: str, without: Callable[[], object], using: Callable[[], object]
) -> None:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        without()
        between = time.perf_counter()
        using()
        times.append((between - began, time.perf_counter() - between))
    before, after = (statistics.median(part) for part in zip(*times, strict=True))
    more = statistics.median(b / a for a, b in times) - 1
    print(f"{name:20s} {before:8.4f} s {after:11.4f} s {more:7.2%}", flush=True)


def _personal(plain: espressivo.Analyzer, signal: NDArray[np.float32]) -> None:
    learn("me", plain.with_profile(Profile.load("me")).analyze(signal))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _write(signal: NDArray[np.float32], path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((signal * 32_767).astype("<i2").tobytes())
    return path


if __name__ == "__main__":
    main()
