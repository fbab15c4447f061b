"""A graph as the runtime runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from espressivo.bench.session import session_options

if TYPE_CHECKING:
    from collections.abc import Iterable


def open_session(
    model: onnx.ModelProto, watched: Iterable[str] = ()
) -> ort.InferenceSession:
    """Open a graph on one thread, printing nothing.

    Args:
        model: As it would be written.
        watched: Values in between, float32, that can be asked for too.
    """
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched
    )
    return ort.InferenceSession(
        observed.SerializeToString(),
        session_options(),
        providers=["CPUExecutionProvider"],
    )
