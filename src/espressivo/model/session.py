"""ONNX sessions: the only module in which onnxruntime opens a graph."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from espressivo.errors import ModelError
from espressivo.files.reading import read_regular
from espressivo.model.gate import Gate
from espressivo.text import reason_of, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


MOST_GRAPH = 2**31
"""Largest size of a graph, in bytes; ONNX's format allows no larger one."""

_GATE = Gate()
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc")


class Session(ort.InferenceSession):  # type: ignore[misc]  # it has no types
    """A session that a fork and the end of the process find idle."""

    def __init__(self, graph: bytes | Path, options: ort.SessionOptions) -> None:
        with _GATE, _memory_told():
            super().__init__(graph, options, providers=["CPUExecutionProvider"])

    def run(self, *args: Any, **options: Any) -> list[Any]:
        """Run the graph; arguments and results are those of onnxruntime.

        Raises:
            MemoryError: There is too little memory.
        """
        with _GATE, _memory_told():
            found: list[Any] = super().run(*args, **options)
        return found


@contextmanager
def _memory_told() -> Iterator[None]:
    """Raise `MemoryError` where onnxruntime raises its own errors of memory."""
    try:
        yield
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise


def session_options(threads: int = 1) -> ort.SessionOptions:
    """Return session options: no log output, all graph optimizations.

    Args:
        threads: Number of threads of one call. The default is one: running several
            calls in parallel is faster, and the results do not depend on the number
            of cores.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # 4 is FATAL. Errors are raised as exceptions too, and the caller reports them.
    options.log_severity_level = 4
    # Idle threads would otherwise keep spinning and slow down other sessions.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_session(
    graph: bytes | Path, options: ort.SessionOptions | None = None
) -> ort.InferenceSession:
    """Open a graph for inference on the CPU.

    Args:
        graph: Content of an ONNX file, or its path.
        options: Session options; None: those of `session_options`.

    Raises:
        Exception: onnxruntime cannot load the graph. It has no public exception types,
            so the caller translates the error.
    """
    return Session(graph, session_options() if options is None else options)


def open_verified(path: Path, sha256: str) -> ort.InferenceSession:
    """Open a graph of a model folder after checking its SHA-256.

    Args:
        path: Path of the ONNX file.
        sha256: Expected SHA-256 from `model.json`, in hexadecimal.

    Raises:
        ModelError: The file is missing, altered, no regular file, or reads weights from
            other files; or onnxruntime cannot load it.
    """
    try:
        graph = read_regular(path, MOST_GRAPH)
    except OSError as error:
        raise ModelError(
            f"{path.parent}: {path.name} cannot be read ({reason_of(error)}); "
            "pass a complete model folder"
        ) from error
    if (found := hashlib.sha256(graph).hexdigest()) != sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., not {sha256[:12]}... as "
            "model.json says; the file was altered or cut off: get the model again"
        )
    _require_alone(path, graph)
    options = session_options()
    # Not onnxruntime's own format, which it would otherwise recognize and read as well.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        # The bytes that were hashed are opened; the file may have changed meanwhile.
        return open_session(graph, options)
    except MemoryError:
        raise
    except Exception as error:
        first = shortened(str(error).partition("\n")[0])
        raise ModelError(f"{path}: onnxruntime cannot load it ({first})") from error


def _require_alone(path: Path, graph: bytes) -> None:
    """Raise if a graph may read its weights from other files, which no hash covers.

    onnxruntime looks for such files in the working directory. ONNX names them in
    entries with the key `location`, which espressivo's graphs contain nowhere; looking
    for the word is faster than parsing, and cannot be evaded by another encoding.
    """
    if b"location" in graph:
        raise ModelError(
            f"{path}: reads weights from files beside it, which model.json has no "
            "sha256 of; save the model with all weights in model.onnx"
        )


def finite(found: Any, source: str) -> NDArray[np.float32]:
    """Return the output of a graph as float32, checked to be finite.

    Args:
        found: Output of the graph.
        source: Name of the graph in messages.

    Raises:
        ModelError: The output contains NaN or infinite numbers (damaged weights).
    """
    rows = np.asarray(found, np.float32)
    if not np.isfinite(rows).all():
        raise ModelError(
            f"{source}: gives NaN or infinite numbers; its weights are damaged: get "
            "the model again"
        )
    return rows


def inputs_of(session: ort.InferenceSession) -> dict[str, tuple[str, int]]:
    """Return the element type and the number of axes of each input, by name."""
    return {i.name: (i.type, len(i.shape)) for i in session.get_inputs()}


def last_axes(session: ort.InferenceSession) -> dict[str, int | None]:
    """Return the length of the second axis of each output, by name.

    None is a dynamic axis; -1 marks an output that does not have two axes.
    """
    sizes: dict[str, int | None] = {}
    for out in session.get_outputs():
        size = out.shape[1] if len(out.shape) == 2 else -1
        sizes[out.name] = size if isinstance(size, int) else None
    return sizes
