"""Time that adaptation adds to an analysis.

A recording is analysed without adaptation, then with a profile that is loaded, updated
with the recording and saved, then with its own windows as history (`--adapt`). They are
timed in turn: as calls within one process on one thread, and as whole commands, start
to exit. Printed are the medians of the processor times (user and system), and of their
ratios to the analysis without adaptation. On one thread and an idle machine they are
the times that pass.

    python benchmarks/analyze/adaptation.py
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import wave
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.model.find import DEFAULT
from espressivo.profile.profile import (
    Profile,
    create,
    learn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOTE = Path(__file__).parents[2] / "examples" / "voice-note.m4a"
LENGTHS_S = (8, 24, 120)


def main() -> None:
    """Print seconds without and with adaptation, and the relative differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default=DEFAULT, help="model to analyse with (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=31,
        metavar="N",
        help="times that each is done (default: %(default)s)",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        if sys.platform != "linux":
            os.environ["ESPRESSIVO_PROFILES"] = folder
        plain = espressivo.load_model(args.model, threads=1)
        alone = espressivo.load_model(args.model, threads=1, adapt=True)
        create(Profile.new("me", plain.classifier))
        note = load_audio(NOTE)
        _personal(plain, np.resize(note, 120 * 16_000))  # a history to infer from
        print("                      without   profile     more    --adapt     more")
        for seconds in LENGTHS_S:
            signal = np.resize(note, seconds * 16_000)
            _personal(plain, signal)
            recording = _write(signal, Path(folder) / f"{seconds}.wav")
            command = [sys.executable, "-m", "espressivo", "analyze", str(recording)]
            command += ["--model", args.model]
            _compare(
                f"in process, {seconds} s",
                args.rounds,
                partial(plain.analyze, signal),
                partial(_personal, plain, signal),
                partial(alone.analyze, signal),
            )
            _compare(
                f"command, {seconds} s",
                args.rounds,
                partial(_run, command),
                partial(_run, [*command, "--speaker", "me"]),
                partial(_run, [*command, "--adapt"]),
            )


def _compare(name: str, rounds: int, *ways: Callable[[], object]) -> None:
    times = np.array([[_seconds(way) for way in ways] for _ in range(rounds)])
    first, *others = np.median(times, 0)
    more = np.median(times[:, 1:] / times[:, :1], 0) - 1
    cells = [f"{s:8.4f} s {m:8.2%}" for s, m in zip(others, more, strict=True)]
    print(f"{name:20s} {first:8.4f} s", *cells, flush=True)


def _seconds(work: Callable[[], object]) -> float:
    began = _processor_s()
    work()
    return _processor_s() - began


def _processor_s() -> float:
    """Return the processor time of this process and its finished children."""
    parts = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


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
