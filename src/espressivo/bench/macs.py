"""Multiply-accumulates (MACs) of a node in a graph optimized by onnxruntime."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.bench.onnx_file import Node

    Shape = tuple[int, ...]

_PRODUCTS = {
    "MatMul", "FusedMatMul", "FusedMatMulActivation", "MatMulInteger",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "MatMulNBits",
    "Gemm", "FusedGemm", "QGemm",
}  # fmt: skip
_CONVOLUTIONS = {
    "Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1,
    "ConvIntegerToFloat": 1, "QLinearConv": 3,
}  # fmt: skip
"""Index of the weight among a convolution's inputs, by operator."""


def macs_of(
    node: Node,
    inputs: Sequence[Shape],
    outputs: Sequence[Shape],
    weights: dict[str, Shape],
) -> int:
    """Return a node's number of multiply-accumulates.

    Matmuls, convolutions and attention count; sums, norms and element-wise functions do
    not.

    Args:
        node: Node of the optimized graph.
        inputs: Shapes of its inputs at run time, without packed weights.
        outputs: Shapes of its outputs at run time.
        weights: Shapes of all constants, by name.
    """
    if not inputs or not outputs:
        return 0
    if node.operator in _PRODUCTS:
        first = inputs[0]
        turned = node.attributes.get("transA", (0,))[0] == 1
        return prod(outputs[0]) * first[-2 if turned else -1]
    if node.operator in _CONVOLUTIONS:
        kernel = _kernel(node, inputs, weights)
        # [out, in / groups, ...]: each output value sums over all but the first.
        return prod(outputs[0]) * prod(kernel[1:])
    if node.operator in {"Attention", "QAttention"}:
        return _packed_attention(inputs[0], outputs[0], weights.get(node.inputs[1]))
    if node.operator == "MultiHeadAttention":
        return _attention(inputs, outputs[0])
    return 0


def _kernel(node: Node, inputs: Sequence[Shape], weights: dict[str, Shape]) -> Shape:
    place = _CONVOLUTIONS[node.operator]
    constant = weights.get(node.inputs[place])
    # A weight that the graph computes, such as one dequantized from int8, is no
    # constant. It is not packed either, so its shape is among `inputs`.
    return inputs[place] if constant is None else constant


def _packed_attention(x: Shape, out: Shape, weight: Shape | None) -> int:
    """Return MACs of the projections of `x` [batch, time, width] and of attention."""
    batch, time, _ = x
    into = batch * time * prod(weight) if weight else 0
    # Two products of time x time x width: the scores, and the weighted values.
    return into + 2 * batch * time * time * out[-1]


def _attention(inputs: Sequence[Shape], out: Shape) -> int:
    """Return MACs of attention: scores [B, T, S] of width D, and outputs [B, T, V]."""
    batch, time, width = inputs[0]
    others = inputs[1][1]
    return batch * time * others * (width + out[-1])
