"""Small graphs of samples, written operator by operator."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
helper = onnx.helper

SECONDS = 0.06  # 960 samples, which many shapes divide


def graph(nodes, weights=(), *, opset=17, shape=("batch", "time"), kind=None):
    """Return a model with input `samples` and output `y`."""
    weights = dict(weights)
    for name, value in weights.items():
        if value.dtype == np.float64:
            weights[name] = value.astype(np.float32)
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "graph",
            [
                helper.make_tensor_value_info(
                    "samples", kind or onnx.TensorProto.FLOAT, list(shape)
                )
            ],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(v, name) for name, v in weights.items()],
        ),
        opset_imports=[
            helper.make_opsetid("", opset),
            helper.make_opsetid("com.microsoft", 1),
        ],
    )
    made.ir_version = 9
    return made


def node(kind, inputs, output, **attributes):
    """Return an operator that is named after its output."""
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def shaped(*shape):
    """Return a node that reshapes samples to `x`, and its constants."""
    return node("Reshape", ["samples", "shape"], "x"), {"shape": np.array(shape)}


def convolution(channels, kernel, *, groups=1, size=(-1,), **attributes):
    """Return a graph of a convolution with equal channels in and out, and a Relu."""
    first, constants = shaped(1, channels, *size)
    weight = random(channels, channels // groups, *kernel)
    return graph(
        [
            first,
            node("Conv", ["x", "weight"], "conv", group=groups, **attributes),
            node("Relu", ["conv"], "y"),
        ],
        constants | {"weight": weight},
    )


def product(rows, inner, columns):
    """Return a graph of a matmul of `rows` frames with a weight, plus a bias."""
    first, constants = shaped(1, rows, inner)
    return graph(
        [
            first,
            node("MatMul", ["x", "weight"], "product"),
            node("Add", ["product", "bias"], "y"),
        ],
        constants | {"weight": random(inner, columns), "bias": random(columns)},
    )


def dynamic(model, folder):
    """Return the model after onnxruntime's dynamic quantization, as bytes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx.save(model, folder / "fp32.onnx")
    quantize_dynamic(
        folder / "fp32.onnx", folder / "dynamic.onnx", weight_type=QuantType.QUInt8
    )
    return (folder / "dynamic.onnx").read_bytes()


def static(model, folder):
    """Return the model after static quantization (u8 activations, s8 weights)."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    onnx.save(model, folder / "fp32.onnx")
    quantize_static(
        folder / "fp32.onnx",
        folder / "static.onnx",
        OneWindow(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return (folder / "static.onnx").read_bytes()


class OneWindow:
    """Calibration data: one window of noise."""

    def __init__(self):
        self.left = [{"samples": random(1, round(SECONDS * 16_000)).astype("f4")}]

    def get_next(self):
        return self.left.pop() if self.left else None
