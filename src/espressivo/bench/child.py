"""Measured process: `python -m espressivo.bench.child`, started by `fresh.py`.

Arguments: `idle`, or `graph PATH SECONDS NAME`, or `folder PATH SECONDS NAME`. It
prints its peak resident memory in bytes, as JSON; `null` on Windows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from espressivo.errors import EspressivoError


def main(arguments: list[str]) -> int:
    """Load the graph or folder, run one window, and print the peak memory."""
    kind, *rest = arguments
    try:
        if kind == "folder":
            _run_folder(Path(rest[0]), float(rest[1]))
        else:
            # `idle` imports the same modules as `graph`, so that the difference of the
            # two peaks is the graph's memory.
            from espressivo.bench.window_runner import (  # noqa: PLC0415
                open_samples_graph,
                window_runner,
            )
            from espressivo.model.session import session_options  # noqa: PLC0415

            if kind == "graph":
                path, seconds, name = rest
                session = open_samples_graph(Path(path), session_options(), name)
                window_runner(session, float(seconds), name)()
    except EspressivoError as error:
        print(error, file=sys.stderr)  # noqa: T201  # what the parent reads
        return 1
    print(json.dumps(_peak_bytes()), flush=True)  # noqa: T201
    return 0


def _run_folder(folder: Path, seconds: float) -> None:
    from espressivo import load_model  # noqa: PLC0415  # its cost is measured
    from espressivo.bench.window_runner import noise  # noqa: PLC0415
    from espressivo.types import SAMPLE_RATE  # noqa: PLC0415

    load_model(folder).classifier(noise(round(seconds * SAMPLE_RATE)))


def _peak_bytes() -> int | None:
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss of a child starts at the parent's value; VmHWM does not.
        lines = status.read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
