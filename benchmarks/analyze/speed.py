"""Speed and memory of `espressivo analyze`, and of transformers' pipeline.

The peer is transformers' audio-classification pipeline in torch, fp32, with
DistilHuBERT's configuration and random weights, which take as long as trained ones. It
classifies the same hour in 8 s windows. Every figure covers a whole process, as the
operating system accounts for it. Runs alternate, so that other load affects both.

    python benchmarks/analyze/speed.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.shared import shared_path

PEER = Path(__file__).with_name("peer.py")
RECORDINGS = Path(__file__).parents[1] / "recordings.py"
ESPRESSIVO = (sys.executable, "-m", "espressivo")


@dataclass(frozen=True)
class Run:
    """One finished process: wall seconds, processor seconds, peak resident bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(*command: str) -> Run:
    """Run a command to its end and discard its output."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    # ru_maxrss is in KiB on Linux, in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def record(path: Path, speech: Path, minutes: float, repeats: int = 1) -> Path:
    """Write `minutes` of speech, `repeats` times over, and return the path."""
    arguments = str(path), str(speech), str(minutes), str(repeats)
    subprocess.run([sys.executable, RECORDINGS, *arguments], check=True)
    return path


def median(runs: list[Run]) -> Run:
    """Return the median of each figure."""
    return Run(
        statistics.median(r.wall_s for r in runs),
        statistics.median(r.cpu_s for r in runs),
        int(statistics.median(r.peak_bytes for r in runs)),
    )


def row(name: str, r: Run, note: str = "") -> None:
    """Print one row of the table."""
    cells = name, f"{r.wall_s:.2f}", f"{r.cpu_s:.2f}", f"{r.peak_bytes / 1e6:.0f}"
    print("|", " | ".join([*cells, note]), "|", flush=True)


def hour(folder: Path, speech: Path, runs: int, *, peer: bool) -> None:
    """Time one hour of speech, espressivo and the peer in turn."""
    path = record(folder / "hour.m4a", speech, 60)
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(runs):
        ours.append(run(*ESPRESSIVO, "analyze", "--csv", str(path)))
        if peer:
            theirs.append(run(sys.executable, str(PEER), str(path)))
    ratios = [t.wall_s / o.wall_s for o, t in zip(ours, theirs, strict=False)]
    middle = median(ours)
    row("1 h m4a, espressivo", middle, f"{3600 / middle.wall_s:.0f} x real time")
    if peer:
        other = median(theirs)
        row("1 h m4a, transformers", other, f"{3600 / other.wall_s:.0f} x real time")
        print(f"\ntransformers / espressivo: {statistics.median(ratios):.1f}\n")


def short(folder: Path, speech: Path, runs: int) -> None:
    """Time a clip of 8 s and `--help`, both from start to exit."""
    path = record(folder / "clip.m4a", speech, 8 / 60)
    clip = [run(*ESPRESSIVO, "analyze", str(path)) for _ in range(runs + 1)][1:]
    help_ = [run(*ESPRESSIVO, "--help") for _ in range(runs + 1)][1:]
    row("8 s m4a, start to exit", median(clip))
    row("espressivo --help", median(help_))


def long(folder: Path, speech: Path) -> None:
    """Measure time and peak memory of a recording of ten hours."""
    path = record(folder / "long.m4a", speech, 30, repeats=20)
    result = run(*ESPRESSIVO, "analyze", "--csv", str(path))
    row("10 h m4a", result, f"{36_000 / result.wall_s:.0f} x real time")


def main() -> None:
    """Parse the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument("--runs", type=int, default=3, help="runs of the hour")
    parser.add_argument("--no-peer", action="store_true", help="skip the peer")
    parser.add_argument("--no-long", action="store_true", help="skip the 10 hours")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores\n")
    print("| what | wall s | cpu s | peak MB | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        short(Path(name), args.speech, runs=9)
        if not args.no_long:
            long(Path(name), args.speech)
        hour(Path(name), args.speech, args.runs, peer=not args.no_peer)


if __name__ == "__main__":
    main()
