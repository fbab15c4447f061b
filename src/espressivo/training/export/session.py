"""A graph in memory, run as the runtime runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from espressivo.model.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnxruntime as ort


def open_proto(
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
    return open_session(observed.SerializeToString())
