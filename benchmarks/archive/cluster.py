"""Private Ray cluster on this machine, started and ended by the benchmark."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.archive.processes import (
    command_line,
    descendants,
    ended,
    is_running,
    kill,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_UP = "Ray runtime started"
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Ray cluster.

    Attributes:
        environment: Environment variables with which a command joins the cluster.
        pid: Process id of `ray start`, the ancestor of all processes of the cluster.
    """

    environment: dict[str, str]
    pid: int

    def kill_worker(self, _pid: int) -> bool:
        """Kill a process that runs a task, and the child process that it works with.

        Args:
            _pid: Process id of the command, which is not the parent of workers; unused.

        Returns:
            Whether a running one was found.
        """
        for pid in descendants(self.pid):
            if command_line(pid).startswith(b"ray::_do_shard"):
                children = descendants(pid)
                killed = kill(pid)
                for child in children:
                    kill(child)
                return killed
        return False


@contextmanager
def cluster(n_cores: int) -> Iterator[Cluster]:
    """Start a head node, yield the cluster, and end all of its processes.

    Processes are ended by id, since `ray stop` ends every cluster of the machine.

    Args:
        n_cores: Number of tasks that run at the same time.
    """
    port = _free_port()
    ray = Path(sys.executable).with_name("ray")
    argv = [str(ray), "start", "--head", "--block", f"--num-cpus={n_cores}"]
    argv += [f"--port={port}", "--node-ip-address=127.0.0.1"]
    argv += ["--include-dashboard=false", "--disable-usage-stats"]
    argv += [f"--object-store-memory={200 * 10**6}"]
    ours = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",  # Ray listens on all addresses
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    with TemporaryDirectory(prefix="ray-") as folder:
        log = Path(folder, "log")
        argv.append(f"--temp-dir={folder}")
        with log.open("w", encoding="utf-8") as file:
            head = subprocess.Popen(
                argv, env=os.environ | ours, stdout=file, stderr=file
            )
        try:
            _await(head, log)
            yield Cluster(ours | {"RAY_ADDRESS": f"127.0.0.1:{port}"}, head.pid)
        finally:
            _end(head)


def _await(head: subprocess.Popen[bytes], log: Path) -> None:
    last = time.monotonic() + _PATIENCE_S
    while _UP not in log.read_text("utf-8"):
        if not is_running(head.pid) or time.monotonic() > last:
            raise SystemExit(f"Ray does not start:\n{log.read_text('utf-8')}")
        time.sleep(0.1)


def _end(head: subprocess.Popen[bytes]) -> None:
    processes = descendants(head.pid)
    head.terminate()
    for pid in ended([head.pid, *processes], _PATIENCE_S):
        kill(pid)
    head.wait()


def _free_port() -> int:
    with socket.socket() as anyone:
        anyone.bind(("127.0.0.1", 0))
        port: int = anyone.getsockname()[1]
    return port
