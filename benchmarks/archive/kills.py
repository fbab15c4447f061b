"""Kill the command and its workers at random, and compare the finished tables."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from subprocess import Popen, TimeoutExpired
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import Progress

from benchmarks.archive.inputs import break_some, sample, write_manifest
from benchmarks.archive.processes import (
    Run,
    begun,
    contents,
    differences,
    ended,
    is_running,
    kill,
    n_parts,
    run,
    workers_of,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

OPTIONS = ("--workers", 2, "--shard-size", 8)
DELAY_S = (0.05, 3.0)
"""Range of the delay before a kill, from the start or from the previous kill."""
TARGETS = {"the command": 0.6, "a worker": 0.3, "all at once": 0.1}
_ORPHANED_S = 10.0
_UNDISTURBED_S = 600.0
"""Time after the last kill at which the command counts as hanging."""


class Killer:
    """Draws targets and times of kills, and kills.

    Args:
        n: Number of kills.
        seed: Seed that draws targets and times.
        n_whole: Number of parts of the finished tables.
        on_kill: Callback, called after every kill.

    Attributes:
        targets: Remaining targets, in order.
        found: Counts of kills by target and by phase, and other counts.
        problems: Descriptions of workers that outlived their command.
    """

    def __init__(
        self, n: int, seed: int, n_whole: int, on_kill: Callable[[], None]
    ) -> None:
        self._rng = np.random.default_rng([seed, 2])
        self._n_whole, self._on_kill = n_whole, on_kill
        names, shares = list(TARGETS), list(TARGETS.values())
        self.targets: list[str] = self._rng.choice(names, n, p=shares).tolist()
        self.found: dict[str, Counter[str]] = {
            name: Counter() for name in ("targets", "phases", "others")
        }
        self.problems: list[str] = []

    def disturb(self, process: Popen[str], out: Path) -> int | None:
        """Kill while the command runs; return its exit code, None if it was killed."""
        n_begun, lost_one = n_parts(out), False
        while (target := self._next(lost_one=lost_one)) is not None:
            if not _waited(process, self._rng.uniform(*DELAY_S)):
                break
            workers = workers_of(process.pid)
            phase = self._phase(n_begun, n_parts(out), has_workers=bool(workers))
            if not self._strike(target, process, workers):
                continue
            self.targets.remove(target)
            self.found["targets"][target] += 1
            self.found["phases"][phase] += 1
            self._on_kill()
            if target != "a worker":
                self._await_orphans(workers, target)
                halves = sum(1 for _ in out.rglob("*.partial"))
                self.found["others"]["half-written files left"] += halves
                return None
            lost_one = True
        try:
            return process.wait(_UNDISTURBED_S)
        except TimeoutExpired:
            process.kill()
            return process.wait()  # -SIGKILL, which counts as a wrong exit code

    def _next(self, *, lost_one: bool) -> str | None:
        """Return the next target.

        At most one worker is killed per start: a recording whose worker dies twice is
        listed as a failure, as documented, and the tables would differ.
        """
        allowed = (t for t in self.targets if not (lost_one and t == "a worker"))
        return next(allowed, None)

    def _strike(self, target: str, process: Popen[str], workers: list[int]) -> bool:
        """Kill the target; return whether it was running."""
        if target == "a worker":
            return bool(workers) and kill(int(self._rng.choice(workers)))
        process.kill()
        if target == "all at once":
            for worker in workers:
                kill(worker)
        return process.wait() == -signal.SIGKILL

    def _phase(self, n_begun: int, n_now: int, *, has_workers: bool) -> str:
        if n_now == self._n_whole:
            return "after the last part"
        if n_now > n_begun:
            return "between parts"
        return "workers up, no new part yet" if has_workers else "no workers yet"

    def _await_orphans(self, workers: list[int], target: str) -> None:
        begin = time.monotonic()
        left = ended(workers, _ORPHANED_S)
        took_ms = 1e3 * (time.monotonic() - begin)
        if target == "the command":
            longest = max(self.found["others"]["longest orphan (ms)"], round(took_ms))
            self.found["others"]["longest orphan (ms)"] = longest
        for worker in left:
            kill(worker)
            self.problems.append(
                f"{target} was killed, and worker {worker} still ran after "
                f"{_ORPHANED_S:g} s"
            )


def kills(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Restart and kill the command until all kills are done and the tables finished.

    Args:
        args: Parsed command line.
        folder: Folder for broken files and tables.

    Returns:
        Figures as JSON, with the list `problems`.
    """
    good = sample(args.recordings, args.n, args.seed)
    items = break_some(good, folder / "broken", args.seed)
    manifest = write_manifest(folder / "manifest.csv", items)
    undisturbed = run(manifest, folder / "whole", *OPTIONS)
    reference = contents(folder / "whole")
    n_finished = n_starts = 0
    with Progress() as bar:
        task = bar.add_task("kills", total=args.kills)
        killer = Killer(
            args.kills, args.seed, n_parts(folder / "whole"), lambda: bar.advance(task)
        )
        problems = _wrong(undisturbed, args.n)
        while killer.targets and not problems:
            out = folder / f"out-{n_finished}"
            n, wrong = _finished(manifest, out, killer, undisturbed.code)
            n_starts += n
            problems += wrong + differences(out, reference)
            n_finished += 1
            shutil.rmtree(out)
    problems += killer.problems
    found = {"outs": n_finished, "starts": n_starts, **killer.found}
    _print(found, undisturbed.wall_s, len(items))
    print("identical to the undisturbed run" if not problems else "NOT as it has to be")
    return {
        "kills": args.kills,
        "code": undisturbed.code,
        **found,
        "problems": problems,
    }


def _wrong(undisturbed: Run, n: int) -> list[str]:
    if undisturbed.code == 3:
        return []
    told = undisturbed.told.strip()
    return [f"undisturbed, exit code {undisturbed.code}, not 3 (of {n}): {told}"]


def _finished(
    manifest: Path, out: Path, killer: Killer, code: int
) -> tuple[int, list[str]]:
    """Start until the command exits by itself; return starts and problems."""
    n_starts, times = 0, dict[str, int]()
    while True:
        n_starts += 1
        with (
            TemporaryFile("w+", encoding="utf-8") as errors,
            begun(manifest, out, *OPTIONS, errors=errors) as process,
        ):
            ended_with = killer.disturb(process, out)
            errors.seek(0)
            told = errors.read().strip()
        before, times = times, _times(out)
        if again := {name for name in before if times.get(name) != before[name]}:
            return n_starts, [f"{out.name}: {sorted(again)} were done again"]
        if ended_with == code:
            return n_starts, []
        if ended_with is not None:
            return n_starts, [f"{out.name}: exit code {ended_with}, not {code}: {told}"]


def _times(out: Path) -> dict[str, int]:
    """Return the modification times of finished parts, by name."""
    parts = out.glob("recordings/part-*.parquet")
    return {part.name: part.stat().st_mtime_ns for part in parts}


def _waited(process: Popen[str], seconds: float) -> bool:
    """Wait; return whether the process still runs."""
    end = time.monotonic() + seconds
    while is_running(process.pid) and time.monotonic() < end:
        time.sleep(0.005)
    return is_running(process.pid)


def _print(found: dict[str, Any], wall_s: float, n: int) -> None:
    print(f"{n} recordings, undisturbed in {wall_s:.1f} s\n")
    print("| what | how many |\n|---|---|")
    print(f"| OUTs finished | {found['outs']} |\n| starts | {found['starts']} |")
    for name, title in (
        ("targets", "killed: "),
        ("phases", "killed: "),
        ("others", ""),
    ):
        for what, count in found[name].items():
            print(f"| {title}{what} | {count} |")
    print()
