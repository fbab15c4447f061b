"""Recordings per second by engine, and identity of the tables between engines."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from benchmarks.archive.cluster import cluster
from benchmarks.archive.inputs import sample, write_manifest
from benchmarks.archive.processes import (
    Run,
    contents,
    differences,
    is_running,
    kill,
    n_parts,
    run,
    workers_of,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

SHARD_SIZE = 32
ONE, TWO, RAY = "1 worker", "2 workers", "Ray, 2 cores"
APART = "halves, each by a command with 1 worker"
WAYS = (ONE, TWO, RAY)


class Engines:
    """Runs of manifests; tables are compared with those of a manifest's first run.

    Args:
        folder: Folder that receives the tables of all runs.
        on_run: Callback, called after every run.

    Attributes:
        walls: Wall seconds of every run, by manifest and engine.
        problems: Differences between tables, and exit codes other than 0.
    """

    def __init__(self, folder: Path, on_run: Callable[[], None]) -> None:
        self.walls: dict[str, list[float]] = {}
        self.problems: list[str] = []
        self._folder, self._on_run = folder, on_run
        self._references: dict[Path, dict[str, bytes]] = {}
        self._n_runs = 0

    def run(
        self, name: str, manifest: Path, shard_size: int, kill_at: int | None = None
    ) -> None:
        """Run the command with one engine, and compare its tables.

        Args:
            name: Engine, one of `WAYS`.
            manifest: Manifest of the recordings.
            shard_size: Recordings per part.
            kill_at: Number of finished parts after which a worker is killed; None to
                kill none.
        """
        self._n_runs += 1
        called = name + (", one killed" if kill_at else "")
        out = self._folder / f"{self._n_runs:02} {manifest.stem}, {called}"
        options: tuple[object, ...] = ("--shard-size", shard_size)
        if name == RAY:
            with cluster(2) as ray:
                disturb = partial(self._disturb, out, kill_at, ray.kill_worker)
                options += ("--engine", "ray")
                done = run(
                    manifest, out, *options, ray=ray.environment, meanwhile=disturb
                )
        else:
            disturb = partial(self._disturb, out, kill_at, _kill_worker)
            options += ("--workers", WAYS.index(name) + 1)
            done = run(manifest, out, *options, meanwhile=disturb)
        self.walls.setdefault(f"{manifest.stem}, {called}", []).append(done.wall_s)
        self._compare(manifest, out, done)
        self._on_run()

    def apart(self, halves: Sequence[Path]) -> None:
        """Run a command per half at the same time: the upper bound on two cores."""
        self._n_runs += 1
        begin = time.perf_counter()
        with ThreadPoolExecutor(len(halves)) as pool:
            outs = [self._folder / f"{self._n_runs:02} {half.stem}" for half in halves]
            done = [*pool.map(_with_one_worker, halves, outs)]
        self.walls.setdefault(f"all, {APART}", []).append(time.perf_counter() - begin)
        for half, out, run_ in zip(halves, outs, done, strict=True):
            self._compare(half, out, run_)
        self._on_run()

    def median(self, name: str) -> float:
        """Return the median wall seconds of a manifest and engine."""
        return statistics.median(self.walls[name])

    def _disturb(
        self, out: Path, kill_at: int | None, strike: Callable[[int], bool], pid: int
    ) -> None:
        if kill_at is None:
            return
        while is_running(pid):
            if n_parts(out) >= kill_at and strike(pid):
                return
            time.sleep(0.02)
        self.problems.append(f"{out.name}: it ended before one could be killed")

    def _compare(self, manifest: Path, out: Path, done: Run) -> None:
        if done.code:
            told = f"exit code {done.code}: {done.told.strip()}"
            self.problems.append(f"{out.name}: {told}")
            return
        reference = self._references.setdefault(manifest, contents(out))
        self.problems += differences(out, reference)


def engines(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Time one worker, two workers and Ray in turn; then kill a worker of the last two.

    Args:
        args: Parsed command line.
        folder: Folder for manifests and tables.

    Returns:
        Figures as JSON, with the list `problems`.
    """
    items = sample(args.recordings, args.n, args.seed)
    whole = write_manifest(folder / "all.csv", items)
    # One recording per worker: the difference of two engines is that of their start.
    two = write_manifest(folder / "two.csv", items[:2])
    halves = [write_manifest(folder / f"half {i}.csv", items[i::2]) for i in range(2)]
    third = -(-args.n // SHARD_SIZE) // 3 or 1
    with Progress(transient=True) as bar:
        task = bar.add_task("runs", total=args.rounds * 6 + 2)
        one = Engines(folder, lambda: bar.advance(task))
        for _ in range(args.rounds):
            for way in WAYS:
                one.run(way, whole, SHARD_SIZE)
            one.apart(halves)
            for way in (TWO, RAY):
                one.run(way, two, 1)
        for way in (TWO, RAY):
            one.run(way, whole, SHARD_SIZE, kill_at=third)
    figures = _figures(one, args.n)
    _print(one, figures, args.n)
    return {"walls_s": one.walls, **figures, "problems": one.problems}


def _with_one_worker(source: Path, out: Path) -> Run:
    return run(source, out, "--shard-size", SHARD_SIZE, "--workers", 1)


def _kill_worker(pid: int) -> bool:
    workers = workers_of(pid)
    return bool(workers) and kill(workers[0])


def _figures(one: Engines, n: int) -> dict[str, float]:
    alone, two, apart = (one.walls[f"all, {way}"] for way in (ONE, TWO, APART))
    more_s = one.median(f"all, {RAY}") - one.median(f"all, {TWO}")
    start_s = one.median(f"two, {RAY}") - one.median(f"two, {TWO}")
    return {
        "ratio": statistics.median(a / b for a, b in zip(alone, two, strict=True)),
        "most": statistics.median(a / b for a, b in zip(alone, apart, strict=True)),
        "ray_overhead_ms": 1e3 * more_s / n,
        "ray_start_s": start_s,
        "ray_overhead_without_start_ms": 1e3 * (more_s - start_s) / n,
    }


def _print(one: Engines, figures: dict[str, float], n: int) -> None:
    print(f"| {n} recordings (all), or two | wall s | recordings/s |\n|---|---|---|")
    for name, walls in sorted(one.walls.items()):
        rate = f"{n / one.median(name):.1f}" if name.startswith("all") else ""
        print(f"| {name} | {', '.join(f'{s:.2f}' for s in walls)} | {rate} |")
    print(f"\n2 workers / 1 worker: {figures['ratio']:.2f}")
    print(f"two commands that share nothing / 1 worker: {figures['most']:.2f}")
    print(
        f"Ray's overhead: {figures['ray_overhead_ms']:.1f} ms a recording; "
        f"{figures['ray_overhead_without_start_ms']:.1f} ms without the "
        f"{figures['ray_start_s']:.1f} s that it takes longer to start"
    )
    print("the same tables" if not one.problems else "NOT the same tables")
