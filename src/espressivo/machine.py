"""Properties of the machine: usable cores, and what benchmark results record of it."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CPUINFO = Path("/proc/cpuinfo")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_CPU_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # of cgroup v1, below `_CGROUPS`
_EIGHT_BITS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def n_cores() -> int:
    """Return the number of cores that this process is allowed to use, at least 1.

    Containers and batch systems allot fewer cores than the machine has, either by CPU
    affinity or by a cgroup's CPU quota. A fractional quota is rounded up. The number
    that Python is told to assume (`PYTHON_CPU_COUNT`, `-X cpu_count`) comes first.
    """
    if (stated := _stated_cores()) is not None:
        return stated
    if hasattr(os, "sched_getaffinity"):
        n = len(os.sched_getaffinity(0))
    else:
        n = os.cpu_count() or 1
    return min([n, *(max(1, math.ceil(quota)) for quota in _cpu_quotas())])


def _stated_cores() -> int | None:
    # Python 3.13 reads both; before, we do it alone.
    number = str(sys._xoptions.get("cpu_count", ""))  # noqa: SLF001  # documented
    if not number and not sys.flags.ignore_environment:
        number = os.environ.get("PYTHON_CPU_COUNT", "")
    # Otherwise it is `default`, or not a number.
    return (int(number) or None) if number.isascii() and number.isdecimal() else None


def _cpu_quotas() -> Iterator[float]:
    """Yield the CPU quotas of this process's cgroups and their ancestors, in cores.

    Source: cgroups(7); Linux kernel, cgroup-v2 (`cpu.max`) and sched-bwc (`cpu.cfs_*`).
    """
    for line in _read(_OWN_CGROUPS).split("\n"):
        # A quota only lowers a count: a line of another form is not worth an error.
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        # Without a cgroup namespace, the path is that of the host, which does not exist
        # inside the container; there its own cgroup is mounted at the root, so the walk
        # over all ancestors finds it.
        inner = PurePosixPath(path.lstrip("/"))
        for folder in (inner, *inner.parents):
            if not controllers:  # cgroup v2
                quota = _read(_CGROUPS / folder / "cpu.max").split()
                yield from _cores(quota)
            elif "cpu" in controllers.split(","):
                for mount in _CPU_MOUNTS:
                    at = _CGROUPS / mount / folder
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _cores([_read(at / name).strip() for name in names])


def _cores(quota: Sequence[str]) -> Iterator[float]:
    # The pair is CPU time and period, both in microseconds. If there is no quota, the
    # time is `max` (v2) or -1 (v1).
    if len(quota) == 2 and quota[0].isdecimal() and quota[1].isdecimal():
        used, period = map(int, quota)
        if period:
            yield used / period


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except (OSError, ValueError):  # no Linux, no such file, or no possible path
        return ""


def processor_name() -> str:
    """Return the processor's name from the system, or else its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def eight_bit_instructions() -> tuple[str, ...]:
    """Return the processor's instruction sets that speed up int8 matmuls.

    Names are those of /proc/cpuinfo, such as `avx512_vnni`; empty on other systems.
    """
    # x86 calls its list `flags`, ARM calls it `Features`.
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return tuple(name for name in _EIGHT_BITS if name in flags)


def _cpuinfo(key: str) -> str:
    lines = (line.partition(":") for line in _read(_CPUINFO).splitlines())
    return next((value.strip() for k, _, value in lines if k.strip() == key), "")


def load_average() -> float | None:
    """Return the load average of the last minute: running and waiting processes.

    None on systems that do not provide it (Windows).
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
