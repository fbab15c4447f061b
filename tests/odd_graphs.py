"""Small ONNX graphs for tests, which take samples as our models do."""

from __future__ import annotations

import pytest

_OPSET = 17


def constant_graph(winner: int) -> bytes:
    """Return a graph whose probabilities are almost all of one emotion of four."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to write a graph")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    logits = [8.0 if i == winner else 0.0 for i in range(4)]
    return _model(
        [
            helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1]),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "logits"], ["moved"]),
            helper.make_node("Softmax", ["moved"], ["probabilities"]),
        ],
        [
            helper.make_tensor("logits", float32, [1, 4], logits),
            helper.make_tensor("zero", float32, [1], [0.0]),
        ],
    )


def foreign_graph(weight) -> bytes:
    """Return a graph that picks the probabilities from a weight named `weight`."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to write a graph")
    helper = onnx.helper
    return _model(
        [
            helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1]),
            helper.make_node("Cast", ["mean"], ["row"], to=onnx.TensorProto.INT64),
            helper.make_node("Gather", ["weight", "row"], ["found"]),
            helper.make_node("Expand", ["found", "shape"], ["probabilities"]),
        ],
        [weight, helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [1, 4])],
    )


def external_weight(
    location: str | None, n: int = 1, *, dims=None, content: bytes = b""
):
    """Return a weight with its numbers in another file, or with other content."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to write a graph")
    tensor = onnx.TensorProto(name="weight", data_type=onnx.TensorProto.FLOAT)
    tensor.dims.extend(dims or [n])
    if location is None:
        tensor.raw_data = content
        return tensor
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(4 * n))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _model(nodes, weights) -> bytes:
    import onnx

    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("samples", float32, ["batch", "time"])],
        [helper.make_tensor_value_info("probabilities", float32, ["batch", 4])],
        weights,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=8
    ).SerializeToString()
