"""ONNX Runtime sessions of in-memory graphs, with the options of the runtime."""

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
    """Return a single-threaded session of a graph, with logging disabled.

    Args:
        model: The graph.
        watched: Names of float32 values inside the graph that become outputs too.
    """
    # A copy, since the caller's graph may be written to a file later.
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched
    )
    return open_session(observed.SerializeToString())
