"""Running of a graph on one window of noise, for measurements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from espressivo.errors import ModelError
from espressivo.model.session import inputs_of, open_session
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_REASONS = {
    r"Opset (\d+) is under development.* till opset (\d+)": (
        "is of operator set {}, and onnxruntime {version} has those up to {}; export "
        "it with a lower one, or update onnxruntime"
    ),
    r"No Op registered for (\S+) with domain_version of (\d+)": (
        "operator set {1} has no operator {0}; export it with one that has, or with "
        "standard operators"
    ),
    r"(\S+)\(-?\d+\) is not a registered function/op": (
        "onnxruntime {version} has no operator {0}; export it with standard "
        "operators, or update onnxruntime"
    ),
    r"Could not find an implementation for (\S+)\((\d+)\)": (
        "onnxruntime {version} cannot run operator {0} of set {1} on these types; "
        "export it with other operators or types, or update onnxruntime"
    ),
    r"[Pp]rotobuf parsing failed|No graph was found": (
        "is no ONNX model, or cut off; pass a whole .onnx file"
    ),
}
"""Messages for users, by pattern of onnxruntime's message."""


def open_samples_graph(
    graph: bytes | Path, options: ort.SessionOptions, name: str = "the graph"
) -> ort.InferenceSession:
    """Open a graph whose input is samples; espressivo need not have exported it.

    Args:
        graph: Content of an ONNX file, or its path.
        options: Session options, such as those of `session_options`.
        name: Name of the graph in error messages.

    Raises:
        ModelError: onnxruntime cannot load the graph, or it does not have exactly one
            float32 input [batch, time].
    """
    try:
        session = open_session(graph, options)
    except Exception as error:  # onnxruntime has no public exception types
        raise ModelError(f"{name}: {_reason(str(error))}") from error
    found = [f"`{i.name}` {i.type} {i.shape}" for i in session.get_inputs()]
    if [*inputs_of(session).values()] != [("tensor(float)", 2)]:
        raise ModelError(
            f"{name}: its inputs are {', '.join(found) or 'none'}, not one of float32 "
            "[batch, time] samples; export it with what comes before inside the graph"
        )
    return session


def window_runner(
    session: ort.InferenceSession, seconds: float, name: str = "the graph"
) -> Callable[[], object]:
    """Return a function that runs the session on one window of noise.

    Args:
        session: Session of a graph whose input is samples.
        seconds: Length of the window, in seconds.
        name: Name of the graph in error messages.

    Raises:
        ModelError: The graph does not accept a batch of one, or a window of this
            length.
    """
    (only,) = session.get_inputs()
    batch, time = only.shape
    n_samples = round(seconds * SAMPLE_RATE)
    if isinstance(batch, int) and batch != 1:
        raise ModelError(
            f"{name}: takes {batch} windows at once, not 1; export it with a batch "
            "of 1 or a dynamic one"
        )
    if isinstance(time, int) and time != n_samples:
        raise ModelError(
            f"{name}: takes {time} samples, not {n_samples}; "
            f"pass --seconds {time / SAMPLE_RATE:g}"
        )
    feed = {only.name: noise(n_samples)}

    def run() -> object:
        try:
            return session.run(None, feed)
        except Exception as error:  # as above
            raise ModelError(
                f"{name}: fails on {seconds:g} s of samples ({_first_line(error)}); "
                "pass --seconds with a length it was made for"
            ) from error

    return run


def noise(n_samples: int) -> NDArray[np.float32]:
    """Return white noise [1, n_samples] at -20 dB, with a fixed seed."""
    values = np.random.default_rng(0).standard_normal((1, n_samples), np.float32)
    return 0.1 * values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _reason(text: str) -> str:
    """Return a one-line reason and remedy for a model that onnxruntime rejects."""
    for pattern, reason in _REASONS.items():
        if found := re.search(pattern, text):
            return reason.format(*found.groups(), version=ort.__version__)
    # Of a message that no pattern matches, the first line names the fault.
    first = (text.splitlines() or ["no reason given"])[0]
    # Removes the error code and the file name at the start.
    why = re.sub(r"^\[ONNXRuntimeError\].*?failed:", "", first)
    return f"onnxruntime {ort.__version__} cannot load it ({why})"
