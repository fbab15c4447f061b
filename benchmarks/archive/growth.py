"""Costs of an archive that grow with its size, and costs of decoding (Linux).

    python benchmarks/archive/growth.py

Measured are time and memory of a list of a million recordings; the time to search
folders, where no file or every second one must be looked into; the processor time per
recording of the process that hands out recordings and writes tables; the size of the
tables; the processor time of adaptation beside that of the analysis; and the time of
decoding by codec.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import parquet

from espressivo.audio.recording import Recording
from espressivo.batch import (
    ArchiveOptions,
    ArchiveProgress,
    analyze_archive,
    find_entries,
)
from espressivo.batch.entries import list_source

sys.path.insert(0, str(Path(__file__).parents[2]))  # finds the package `benchmarks`

from benchmarks.archive.inputs import sample, write_manifest
from benchmarks.archive.processes import resident_bytes
from benchmarks.archive.rates import write_opus
from benchmarks.recordings import RATE, read_speech, write_m4a
from benchmarks.shared import shared_path

_MANY = 1_000_000
_FILES = 100_000
_MINUTES = 5.0
_TIMES = 3


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recordings", type=shared_path, default="$ESPRESSIVO_DATA/corpora"
    )
    parser.add_argument("--speech", type=shared_path, default="$ESPRESSIVO_DATA/speech")
    parser.add_argument("--n", type=int, default=2000, help="recordings analysed")
    args = parser.parse_args()
    with TemporaryDirectory(prefix="espressivo-archive-") as name:
        folder = Path(name)
        _list_many(folder / "many.csv")
        for suffixes in ((".ogg", ".mp3"), (".ogg", ".json")):
            _search(folder / suffixes[1][1:], suffixes)
        _hand_out(args, folder)
        _adapt(args, folder)
        _decode(args.speech, folder)


def _list_many(manifest: Path) -> None:
    with manifest.open("w", encoding="utf-8") as file:
        file.write("id,path\n")
        for i in range(_MANY):
            name = f"2025/{i // 40_000:02}/note-{i:08}.ogg"
            file.write(f"{name},/archive/{name}\n")
    before, begun = resident_bytes(os.getpid()), time.perf_counter()
    entries = find_entries(manifest)
    took_s = time.perf_counter() - begun
    grew = resident_bytes(os.getpid()) - before
    print(f"a list of {len(entries):,}: {took_s:.1f} s, {grew / 1e6:.0f} MB")


def _search(folder: Path, suffixes: tuple[str, ...]) -> None:
    """Print the processor time to find recordings in folders of a thousand files."""
    for i in range(_FILES):
        path = folder / f"{i // 1000:03}" / f"{i // 2:06}{suffixes[i % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"speaker": "x"}\n' * 30)
    before = _own_cpu_s()
    listing = list_source(folder)
    each_us = 1e6 * (_own_cpu_s() - before) / _FILES
    print(
        f"searching folders of {' and '.join(suffixes)}: {each_us:.1f} core us a file, "
        f"{len(listing.entries):,} taken, {len(listing.left_out):,} left out"
    )


def _hand_out(args: argparse.Namespace, folder: Path) -> None:
    """Print the processor time of the parent process, less that for two recordings."""
    cpu_s: list[float] = []
    for n in (2, 2, args.n):  # the first run includes imports, and is not used
        out = folder / f"out-{len(cpu_s)}"
        items = sample(args.recordings, n, 0)
        manifest = write_manifest(folder / f"{len(cpu_s)}.csv", items)
        before = _own_cpu_s()
        analyze_archive(manifest, out)
        cpu_s.append(_own_cpu_s() - before)
    each_ms = 1e3 * (cpu_s[-1] - cpu_s[-2]) / (args.n - 2)
    print(f"handing out and writing: {each_ms:.2f} core ms a recording")
    for table in ("recordings", "windows"):
        n_bytes = sum(part.stat().st_size for part in (out / table).iterdir())
        n_rows = parquet.read_table(out / table).num_rows
        print(f"{table}: {n_bytes / n_rows:.0f} bytes a row ({n_rows:,} rows)")


def _adapt(args: argparse.Namespace, folder: Path) -> None:
    """Print the processor time of adaptation if each recording is its own speaker."""
    out = folder / "adapted"
    began: dict[str, float] = {}
    n_bytes = 0

    def note_begin(progress: ArchiveProgress) -> None:
        nonlocal n_bytes
        if progress.stage not in began:
            began[progress.stage] = _own_cpu_s()
            found = (out / "voices").glob("part-*")
            n_bytes = max(n_bytes, sum(part.stat().st_size for part in found))

    manifest = write_manifest(
        folder / "adapted.csv", sample(args.recordings, args.n, 0)
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ArchiveOptions(workers=1, adapt=True)
    analyze_archive(manifest, out, options=options, on_progress=note_begin)
    own_s, after = _own_cpu_s(), resource.getrusage(resource.RUSAGE_CHILDREN)
    heard_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    for what, seconds in (
        ("analysis", heard_s),
        ("summing up voices", began["adaptation"] - began["voices"]),
        ("adaptation", own_s - began["adaptation"]),
    ):
        print(f"{what}: {1e3 * seconds / args.n:.2f} core ms a recording")
    print(f"voices: {n_bytes / args.n:.0f} bytes a recording")


def _decode(speech: Path, folder: Path) -> None:
    signal = read_speech(speech, _MINUTES)
    opus = write_opus(folder / "speech.ogg", signal)
    for path in (opus, write_m4a(folder / "speech.m4a", signal)):
        begun = _own_cpu_s()
        for _ in range(_TIMES):
            n = sum(len(block) for block in Recording(path).blocks())
        each_ms = 1e3 * (_own_cpu_s() - begun) / (_TIMES * n / RATE)
        print(f"decoding {path.suffix}: {each_ms:.2f} core ms a second")


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
