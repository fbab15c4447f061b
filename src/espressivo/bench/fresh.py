"""Measurements in a fresh process: peak memory, and time to the first result."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from espressivo.errors import ModelError

if TYPE_CHECKING:
    from espressivo.bench.subject import Subject


def peak_bytes(graph: bytes, seconds: float = 8.0) -> int | None:
    """Return the peak memory that a graph adds to a process.

    A fresh process loads the graph and runs one window on one thread; the peak of the
    same process without a graph is subtracted. Memory that onnxruntime allocates once,
    with its first model, is included (17 MB for a graph of one node, version 1.32).

    Args:
        graph: Content of an ONNX file whose input is samples.
        seconds: Length of the window, in seconds.

    Returns:
        Memory in bytes; None on Windows, which provides no peak.

    Raises:
        ModelError: The graph does not load, or does not accept such a window.
    """
    with TemporaryDirectory(prefix="espressivo-bench-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph)
        return peak_bytes_of(path, seconds, "the graph")


def peak_bytes_of(path: Path, seconds: float, name: str) -> int | None:
    """Return `peak_bytes` of an ONNX file; `name` appears in error messages."""
    # The peak of a process never falls, so every measurement needs a new one.
    loaded, _ = _first_result("graph", str(path), str(seconds), name)
    idle, _ = _first_result("idle")
    if loaded is None or idle is None:
        return None
    return loaded - idle


def first_result_s(subject: Subject, seconds: float) -> float:
    """Return the time from the start of Python to the first result, in seconds.

    A model folder is loaded and verified by espressivo, a bare graph by onnxruntime
    alone.

    Raises:
        ModelError: The model does not load, or does not accept such a window.
    """
    kind = "graph" if subject.folder is None else "folder"
    path = subject.folder or subject.path
    return _first_result(kind, str(path), str(seconds), subject.name)[1]


def _first_result(*arguments: str) -> tuple[int | None, float]:
    """Return peak memory (bytes) and run time (seconds) of `espressivo.bench.child`."""
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603  # this very Python
        # -P keeps modules of the working directory out of the child's imports.
        [sys.executable, "-P", "-m", "espressivo.bench.child", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        elapsed_s = time.perf_counter() - began  # before the child frees its memory
        _, errors = child.communicate()
    if not line:
        # The last line of a traceback names the exception.
        raise ModelError((errors.strip().splitlines() or ["no result"])[-1])
    peak: int | None = json.loads(line)
    return peak, elapsed_s
