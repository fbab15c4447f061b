"""Memory and processor time of another process, from /proc (Linux)."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path


def cpu_of(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """Return a process's resident memory, in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Samples the resident memory of a process.

    Attributes:
        memory: (seconds since the start, resident bytes), oldest first.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._begun = pid, time.monotonic()
        self.memory: list[tuple[float, int]] = []

    async def watch(self, every_s: float = 1.0) -> None:
        """Take a sample every `every_s` seconds until cancelled."""
        while True:
            now = time.monotonic() - self._begun
            self.memory.append((now, memory_of(self._pid)))
            await asyncio.sleep(every_s)
