"""The command `espressivo archive` as a process: run, watch, kill, compare (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from benchmarks.server.watch import memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Run:
    """A command that has ended.

    Attributes:
        code: Its exit code, negative where a signal ended it.
        wall_s: From start to exit, in seconds.
        cpu_s: Processor time of it and of its workers, in seconds.
        told: What it wrote to stderr.
    """

    code: int
    wall_s: float
    cpu_s: float
    told: str


@contextmanager
def begun(
    source: Path,
    out: Path,
    *options: object,
    errors: IO[str],
    ray: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start the command; it is killed where it has not ended when this does.

    Args:
        source: A manifest.
        out: Where the tables go.
        options: More of the command line.
        errors: Takes its stderr.
        ray: Variables by which `--engine ray` finds a cluster.
    """
    argv = [sys.executable, "-m", "espressivo", "archive", str(source)]
    argv += ["--out", str(out), *map(str, options)]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment |= ray or {}
    process = subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=errors, text=True
    )
    try:
        yield process
    finally:
        if is_running(process.pid):
            process.kill()
            process.wait()


def run(
    source: Path,
    out: Path,
    *options: object,
    ray: dict[str, str] | None = None,
    meanwhile: Callable[[int], None] | None = None,
) -> Run:
    """Run the command to its end.

    Args:
        source: A manifest.
        out: Where the tables go.
        options: More of the command line.
        ray: Variables by which `--engine ray` finds a cluster.
        meanwhile: Called with the process id once it has started.
    """
    with TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        with begun(source, out, *options, errors=errors, ray=ray) as process:
            if meanwhile is not None:
                meanwhile(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - begin
        errors.seek(0)
        cpu_s = usage.ru_utime + usage.ru_stime
        return Run(os.waitstatus_to_exitcode(status), wall_s, cpu_s, errors.read())


def is_running(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    # What has ended may wait for a parent that asks how.
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, those above before those below."""
    below: dict[int, list[int]] = {}
    for name in (path.name for path in Path("/proc").glob("[0-9]*")):
        if stat := _stat(int(name)):
            below.setdefault(int(stat[1]), []).append(int(name))
    found = [pid]
    for one in found:  # which grows meanwhile
        found += below.get(one, [])
    return found[1:]


def command_line(pid: int) -> bytes:
    """Return what a process was started as, or calls itself."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def workers_of(pid: int) -> list[int]:
    """Return the processes that a command analyses with."""
    return [one for one in descendants(pid) if b"spawn_main" in command_line(one)]


def kill(pid: int) -> bool:
    """Kill a process; tell whether it was running."""
    alive = is_running(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return alive


def ended(pids: list[int], patience_s: float) -> list[int]:
    """Wait for processes to end; return those that have not when patience is over."""
    last = time.monotonic() + patience_s
    while (left := [pid for pid in pids if is_running(pid)]) and (
        time.monotonic() < last
    ):
        time.sleep(0.01)
    return left


def resident_bytes(pid: int) -> int:
    """Return the memory that a process and those below it hold, shared pages each."""
    total = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError):
            total += memory_of(one)
    return total


def n_parts(out: Path) -> int:
    """Return how many parts of the tables are finished."""
    return sum(1 for _ in out.glob("recordings/part-*.parquet"))


def contents(out: Path) -> dict[str, bytes]:
    """Return everything in an archive by name, but for the lock that stays there."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def differences(out: Path, reference: dict[str, bytes]) -> list[str]:
    """Say in what an archive is not the reference, a line a file."""
    found = contents(out)
    return [
        *(f"{out.name}: {name} is missing" for name in reference.keys() - found.keys()),
        *(
            f"{out.name}: {name} is too much"
            for name in found.keys() - reference.keys()
        ),
        *(
            f"{out.name}: {name} differs"
            for name in reference.keys() & found.keys()
            if reference[name] != found[name]
        ),
    ]


def _stat(pid: int) -> list[str]:
    """Return a process's state, parent and more; nothing where it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return []
