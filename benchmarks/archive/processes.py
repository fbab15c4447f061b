"""Run `espressivo archive` as a process, kill it, compare its tables (Linux)."""

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
    """Result of a command that has ended.

    Attributes:
        code: Exit code; negative if a signal ended the command.
        wall_s: Seconds from start to exit.
        cpu_s: Processor seconds of the command and its workers.
        told: Text that the command wrote to stderr.
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
    """Start the command and yield its process; kill it at exit if it still runs.

    Args:
        source: Manifest of the recordings.
        out: Folder of the tables.
        options: Further arguments of the command line.
        errors: File that receives stderr.
        ray: Environment variables with which `--engine ray` joins a cluster.
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
        source: Manifest of the recordings.
        out: Folder of the tables.
        options: Further arguments of the command line.
        ray: Environment variables with which `--engine ray` joins a cluster.
        meanwhile: Callback, called with the process id once the command has started.
    """
    with TemporaryFile("w+", encoding="utf-8") as errors:
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
    """Return whether a process exists and has not ended."""
    # A zombie (Z) has ended, and remains until its parent reads the exit status.
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process, parents before children."""
    below: dict[int, list[int]] = {}
    for name in (path.name for path in Path("/proc").glob("[0-9]*")):
        if stat := _stat(int(name)):
            below.setdefault(int(stat[1]), []).append(int(name))
    found = [pid]
    for one in found:  # the list grows while it is read: breadth first
        found += below.get(one, [])
    return found[1:]


def command_line(pid: int) -> bytes:
    """Return the command line of a process, or the title that it has set."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a command."""
    return [one for one in descendants(pid) if b"spawn_main" in command_line(one)]


def kill(pid: int) -> bool:
    """Kill a process; return whether it was running."""
    alive = is_running(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return alive


def ended(pids: list[int], patience_s: float) -> list[int]:
    """Wait for processes to end; return those that still run after `patience_s`."""
    last = time.monotonic() + patience_s
    while (left := [pid for pid in pids if is_running(pid)]) and (
        time.monotonic() < last
    ):
        time.sleep(0.01)
    return left


def resident_bytes(pid: int) -> int:
    """Return the resident bytes of a process and its descendants, in sum.

    Pages that several processes share are counted in each.
    """
    total = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError):
            total += memory_of(one)
    return total


def n_parts(out: Path) -> int:
    """Return the number of finished parts."""
    return sum(1 for _ in out.glob("recordings/part-*.parquet"))


def contents(out: Path) -> dict[str, bytes]:
    """Return the content of every file of an archive by name, without the lock file."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def differences(out: Path, reference: dict[str, bytes]) -> list[str]:
    """Return one line for each file in which an archive differs from the reference."""
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
    """Return state, parent and further fields of a process; empty if it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return []
