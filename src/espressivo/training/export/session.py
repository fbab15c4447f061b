"""Sessions of graphs in memory, with the runtime's options."""

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
        model: The graph.
        watched: Names of float32 values inside the graph that become outputs too.
    """
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched
    )
    return open_session(observed.SerializeToString())
