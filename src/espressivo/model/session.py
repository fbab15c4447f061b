"""ONNX sessions: the one place where onnxruntime opens a graph."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from espressivo.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def session_options(threads: int = 1) -> ort.SessionOptions:
    """Return options: quiet, all graph optimizations on.

    Args:
        threads: How many threads one call uses. By default one: callers run several
            calls at once, which is faster, and makes the numbers of a window the same
            on every machine.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Faults are raised too, and the caller reports them in one line.
    options.log_severity_level = 4
    # Idle threads would otherwise spin on, and slow the next session's run.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_session(
    graph: bytes | Path, options: ort.SessionOptions | None = None
) -> ort.InferenceSession:
    """Open a graph on the CPU.

    Args:
        graph: The content of an ONNX file, or its path.
        options: By default those of `session_options`.

    Raises:
        Exception: onnxruntime cannot load it (onnxruntime has no public exception
            types); the caller knows what to tell the user.
    """
    options = session_options() if options is None else options
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def open_verified(path: Path, sha256: str) -> ort.InferenceSession:
    """Open a graph of a model folder.

    Args:
        path: The file.
        sha256: Its hash according to `model.json`, in hexadecimal.

    Raises:
        ModelError: It is missing, altered, or not for onnxruntime.
    """
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path.parent}: {path.name} cannot be read ({error.strerror}); "
            "pass a complete model folder"
        ) from error
    if (found := hashlib.sha256(graph).hexdigest()) != sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., not {sha256[:12]}... as "
            "model.json says; the file was altered or cut off: get the model again"
        )
    try:
        # The bytes that were hashed, not the file, which may have changed since.
        return open_session(graph)
    except Exception as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"{path}: onnxruntime cannot load it ({first})") from error


def finite(found: Any, source: str) -> NDArray[np.float32]:
    """Return the output of a graph as float32, checked.

    Args:
        found: The output.
        source: How messages call the graph.

    Raises:
        ModelError: It holds NaN or infinite numbers, so the weights must be damaged.
    """
    rows = np.asarray(found, np.float32)
    if not np.isfinite(rows).all():
        raise ModelError(
            f"{source}: gives NaN or infinite numbers; its weights are damaged: get "
            "the model again"
        )
    return rows


def inputs_of(session: ort.InferenceSession) -> dict[str, tuple[str, int]]:
    """Return the type and the number of axes of each input."""
    return {i.name: (i.type, len(i.shape)) for i in session.get_inputs()}


def last_axes(session: ort.InferenceSession) -> dict[str, int | None]:
    """Return the length of each output's last of two axes; None: not declared."""
    sizes: dict[str, int | None] = {}
    for out in session.get_outputs():
        size = out.shape[1] if len(out.shape) == 2 else -1
        sizes[out.name] = size if isinstance(size, int) else None
    return sizes
