"""Archive with a tenth of its recordings broken: rows of failures, and memory."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from pyarrow import parquet
from rich.progress import Progress

from benchmarks.archive.inputs import WAYS, Item, break_some, sample, write_manifest
from benchmarks.archive.processes import is_running, kill, n_parts, resident_bytes, run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

SHARD_SIZE = 32
OPTIONS = ("--workers", 2, "--shard-size", SHARD_SIZE)
EVERY_S = 0.2
PATIENCE_S = 120.0
"""Time without a finished part after which the command counts as hanging."""
_FIGURES = ("first_quarter_mb", "last_quarter_mb", "peak_mb")


class Watch:
    """Samples the memory of a running command, and kills a command that hangs.

    Args:
        out: Folder of the tables.
        n_planned: Number of parts that the command will write.

    Attributes:
        series: (monotonic time in seconds, resident bytes) between the first and the
            last part, when all workers run.
        hung: Whether the command was killed.
    """

    def __init__(self, out: Path, n_planned: int) -> None:
        self.series: list[tuple[float, int]] = []
        self.hung = False
        self._out, self._n_planned = out, n_planned

    def __call__(self, pid: int) -> None:
        """Sample until the process `pid` ends."""
        n, since = 0, time.monotonic()
        with Progress(transient=True) as bar:
            task = bar.add_task("parts", total=self._n_planned)
            while is_running(pid):
                now = time.monotonic()
                if (n_now := n_parts(self._out)) != n:
                    n, since = n_now, now
                    bar.update(task, completed=n)
                elif now > since + PATIENCE_S:
                    self.hung = kill(pid)
                if 0 < n < self._n_planned:
                    self.series.append((now, resident_bytes(pid)))
                time.sleep(EVERY_S)

    def figures(self) -> dict[str, float]:
        """Return the median of the first and of the last quarter, and the peak (MB)."""
        (begun, _), (over, _) = self.series[0], self.series[-1]
        quarter = (over - begun) / 4
        first = [size for at, size in self.series if at <= begun + quarter]
        last = [size for at, size in self.series if at >= over - quarter]
        middles = [statistics.median(sizes) / 1e6 for sizes in (first, last)]
        peak = max(size for _, size in self.series) / 1e6
        return dict(zip(_FIGURES, (*middles, peak), strict=True))


def broken(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Analyse recordings, a tenth of them broken; print failures by kind of defect.

    Args:
        args: Parsed command line.
        folder: Folder for broken files and tables.

    Returns:
        Figures as JSON, with the list `problems`.
    """
    good = sample(args.recordings, args.n, args.seed)
    items = break_some(good, folder / "broken", args.seed)
    out = folder / "out"
    watch = Watch(out, -(-len(items) // SHARD_SIZE))
    manifest = write_manifest(folder / "manifest.csv", items)
    done = run(manifest, out, *OPTIONS, meanwhile=watch)
    problems = [f"no part in {PATIENCE_S:g} s; killed"] if watch.hung else []
    if done.code != 3:
        problems.append(f"exit code is {done.code}, not 3: {done.told.strip()}")
    failures = _rows(out, "failures")
    problems += _misplaced(items, _rows(out, "recordings"), failures)
    ways = _ways(items, failures)
    _print_ways(ways)
    memory = watch.figures() if len(watch.series) > 1 else {}
    problems += _print_memory(memory)
    print(f"{len(items)} recordings in {done.wall_s:.1f} s, exit code {done.code}")
    return {
        "code": done.code,
        "wall_s": done.wall_s,
        "ways": ways,
        "memory": memory,
        "series": [(round(at - watch.series[0][0], 2), n) for at, n in watch.series],
        "problems": problems,
    }


def _rows(out: Path, table: str) -> list[dict[str, Any]]:
    if not (out / table).is_dir():  # the command ended before the first part
        return []
    rows: list[dict[str, Any]] = parquet.read_table(out / table).to_pylist()
    return rows


def _misplaced(
    items: Sequence[Item],
    recordings: Sequence[dict[str, Any]],
    failures: Sequence[dict[str, Any]],
) -> list[str]:
    """Return recordings not found once in their table, and failures without reason."""
    analysed = Counter(row["id"] for row in recordings)
    failed = Counter(row["id"] for row in failures)
    found = []
    for item in items:
        wanted = (0, 1) if item.way else (1, 0)
        if (analysed[item.id], failed[item.id]) != wanted:
            found.append(
                f"{item.id} ({item.way or 'good'}): {analysed[item.id]} times in "
                f"recordings, {failed[item.id]} in failures"
            )
    strange = (analysed.keys() | failed.keys()) - {item.id for item in items}
    found += [f"{id_}: nobody asked for it" for id_ in sorted(strange)]
    found += [
        f"{row['id']}: kind {row['kind']!r}, reason {row['reason']!r}"
        for row in failures
        if not row["kind"] or not row["reason"].startswith(f"{row['id']}: ")
    ]
    return found


def _ways(
    items: Sequence[Item], failures: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the number of files, the kinds and one reason for each defect."""
    rows = {row["id"]: row for row in failures}
    found = []
    for way in WAYS:
        ids = [item.id for item in items if item.way == way]
        told = [rows[id_] for id_ in ids if id_ in rows]
        kinds = Counter(row["kind"] for row in told)
        example = told[0]["reason"] if told else ""
        found.append({"way": way, "n": len(ids), "kinds": kinds, "example": example})
    return found


def _print_ways(ways: Sequence[dict[str, Any]]) -> None:
    print("| way | how many | kind | example of a reason |\n|---|---|---|---|")
    for way in ways:
        kinds = ", ".join(
            kind if n == way["n"] else f"{kind} ({n})"
            for kind, n in way["kinds"].items()
        )
        print(f"| {way['way']} | {way['n']} | {kinds} | {way['example']} |")
    print()


def _print_memory(memory: dict[str, float]) -> list[str]:
    """Print the figures of memory; return a problem if there are none."""
    if not memory:
        return ["it was over before memory could be sampled; pass a larger --n"]
    first, last = memory["first_quarter_mb"], memory["last_quarter_mb"]
    print(
        f"memory of all processes: {first:.0f} MB in the first quarter, {last:.0f} MB "
        f"in the last ({last / first - 1:+.1%}), {memory['peak_mb']:.0f} MB at most"
    )
    return []
