"""What this machine is, for figures of time that say where they come from."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_EIGHT_BITS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def n_cores() -> int:
    """Return how many cores this process may use."""
    # Containers and batch systems allot fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's name as the system tells it, else its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def eight_bit_instructions() -> tuple[str, ...]:
    """Return the instruction sets that decide how fast 8-bit products are.

    As Linux names them, such as `avx512_vnni`; empty where the system does not tell.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return tuple(name for name in _EIGHT_BITS if name in flags)


def _cpuinfo(key: str) -> str:
    try:
        text = _CPUINFO.read_text("utf-8", errors="replace")
    except OSError:  # no Linux
        return ""
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for k, _, value in lines if k.strip() == key), "")


def load_average() -> float | None:
    """Return how many processes wanted a core, mean of the last minute.

    None where the system does not tell (Windows).
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
