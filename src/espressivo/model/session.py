"""An ONNX file, verified, as onnxruntime runs it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from espressivo.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def open_graph(path: Path, sha256: str) -> ort.InferenceSession:
    """Open a graph that a model folder's card names.

    Args:
        path: The file.
        sha256: What `model.json` says of it, in hexadecimal.

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
    options = ort.SessionOptions()
    # One thread a call: callers run several calls at once, which is faster and makes
    # a window's numbers the same on every machine size.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        # The bytes that were hashed, not the file, which may have changed since.
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public exception types
        first = str(error).splitlines()[0]
        raise ModelError(f"{path}: onnxruntime cannot load it ({first})") from error


def finite(found: Any, source: str) -> NDArray[np.float32]:
    """Return what a graph gave.

    Args:
        found: Its output.
        source: How messages call the graph.

    Raises:
        ModelError: It holds what is no number, so its weights must be damaged.
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
    """Return each output's length along its last of two axes; None: not told."""
    sizes: dict[str, int | None] = {}
    for out in session.get_outputs():
        size = out.shape[1] if len(out.shape) == 2 else -1
        sizes[out.name] = size if isinstance(size, int) else None
    return sizes
