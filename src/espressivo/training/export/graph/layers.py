"""Layers that several networks share, as ONNX operators, frames before channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from espressivo.training.export.graph.builder import END

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from espressivo.training.export.graph.builder import GraphBuilder


_LEAST_PEAK = 0.5  # of a row


@dataclass(frozen=True, slots=True)
class AttentionLayers:
    """The linear layers of a self-attention; the bias of the keys is not needed."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    out: nn.Module
    n_heads: int


def emit_linear(graph: GraphBuilder, module: nn.Module, x: str, name: str) -> str:
    """Apply a linear layer with bias to the last axis."""
    linear = cast("nn.Linear", module)
    return graph.linear(x, array(linear.weight).T, array(linear.bias), name)


def emit_normalization(graph: GraphBuilder, norm: nn.Module, x: str, name: str) -> str:
    """Apply a layer norm to the last axis."""
    norm = cast("nn.LayerNorm", norm)
    scale = graph.weight(array(norm.weight), f"{name}.scale")
    shift = graph.weight(array(norm.bias), f"{name}.shift")
    return graph.op(
        "LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=norm.eps
    )


def emit_scaled_linear(
    graph: GraphBuilder,
    x: str,
    weight: NDArray[np.float64],
    bias: NDArray[np.float64] | None,
    name: str,
) -> str:
    """Multiply rows of x [B, T, in], outputs of GELU, by `weight` [in, out].

    Each row is divided by its largest number first and multiplied by it afterwards, so
    that a quiet row has as many of 256 levels as a loud one. The minimum of GELU is
    -0.17, so no number of a scaled row is less than -0.34.
    """
    peak = graph.reduce("Max", x, [2], f"{name}.peak", keep=True)
    peak = graph.op("Max", [peak, graph.number(_LEAST_PEAK)], f"{name}.scale")
    scaled = graph.op("Div", [x, peak], f"{name}.scaled")
    product = graph.linear(scaled, weight, None, name)
    if bias is None:
        return graph.op("Mul", [product, peak], name)
    back = graph.op("Mul", [product, peak], f"{name}.back")
    return graph.op("Add", [back, graph.weight(bias, f"{name}.bias")], name)


def emit_convolution(
    graph: GraphBuilder,
    module: nn.Module,
    frames: str,
    name: str,
    *,
    scaled: bool = False,
) -> str:
    """Convolve frames [B, T, in] over time: [B, T', out].

    As one matmul over unfolded frames it needs no transposition, and only its input is
    quantized (onnxruntime's integer convolution quantizes the output too).
    """
    convolution = cast("nn.Conv1d", module)
    kernel = array(convolution.weight)  # [out, in, size]
    (size,), (stride,) = convolution.kernel_size, convolution.stride
    (padding,) = cast("tuple[int]", convolution.padding)
    if padding:
        ends = graph.integers(0, padding, 0, 0, padding, 0)
        frames = graph.op("Pad", [frames, ends], f"{name}.pad")
    unfolded = unfold(graph, frames, size, stride, name)
    weight = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))  # [size in, out]
    bias = None if convolution.bias is None else array(convolution.bias)
    if scaled:
        return emit_scaled_linear(graph, unfolded, weight, bias, name)
    return graph.linear(unfolded, weight, bias, name)


def emit_attention(
    graph: GraphBuilder, layers: AttentionLayers, x: str, name: str
) -> str:
    """Apply self-attention over all frames of x [B, T, width]: [B, T, width].

    A bias of the keys would add the same to all scores of a frame, and softmax would
    remove it again.
    """
    query, key, value, out = (
        cast("nn.Linear", layer)
        for layer in (layers.query, layers.key, layers.value, layers.out)
    )
    n_heads, width = layers.n_heads, query.out_features
    # The scores are divided by sqrt(64) before the softmax: so are the query weights.
    scale = (width // n_heads) ** -0.5
    queries = graph.linear(
        x, array(query.weight).T * scale, array(query.bias) * scale, f"{name}.query"
    )
    keys = graph.linear(x, array(key.weight).T, None, f"{name}.key")
    values = graph.linear(x, array(value.weight).T, array(value.bias), f"{name}.value")

    def heads(of: str, role: str, order: list[int]) -> str:
        apart = graph.op(
            "Reshape", [of, graph.integers(0, 0, n_heads, -1)], f"{name}.{role}.apart"
        )
        return graph.op("Transpose", [apart], f"{name}.{role}.heads", perm=order)

    scores = graph.op(
        "MatMul",
        [heads(queries, "query", [0, 2, 1, 3]), heads(keys, "key", [0, 2, 3, 1])],
        f"{name}.scores",
    )
    shares = graph.op("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = graph.op(
        "MatMul", [shares, heads(values, "value", [0, 2, 1, 3])], f"{name}.mixed"
    )
    together = graph.op("Transpose", [mixed], f"{name}.together", perm=[0, 2, 1, 3])
    joined = graph.op(
        "Reshape", [together, graph.integers(0, 0, width)], f"{name}.joined"
    )
    return graph.linear(joined, array(out.weight).T, array(out.bias), f"{name}.out")


def unfold(graph: GraphBuilder, frames: str, size: int, stride: int, name: str) -> str:
    """Unfold frames [B, T, in] into the input of each kernel step [B, T', size in]."""
    neighbours = [
        graph.cut(
            frames,
            1,
            (i, i + 1 - size if i + 1 < size else END),
            f"{name}.neighbour.{i}",
            stride,
        )
        for i in range(size)
    ]
    return graph.op("Concat", neighbours, f"{name}.unfolded", axis=2)


def array(tensor: Tensor) -> NDArray[np.float64]:
    """Return a tensor's values in float64, in which exact rewrites are computed."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
