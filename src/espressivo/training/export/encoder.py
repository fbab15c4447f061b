"""Whisper's encoder as ONNX operators: convolutions and attention as products."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from espressivo.training.export.builder import END

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from espressivo.training.export.builder import GraphBuilder
    from espressivo.training.networks.whisper import (
        Attention,
        Block,
        WhisperEncoder,
    )


def emit_encoder(
    graph: GraphBuilder, encoder: WhisperEncoder, mel: str, last: int, longest: int
) -> list[str]:
    """Return the hidden states [B, T, width] of mel frames [B, 2 T, 80].

    Args:
        graph: Takes the nodes.
        encoder: Holds the weights.
        mel: Name of the mel frames.
        last: Highest state wanted; the blocks above it are left out.
        longest: Frames that keep a position, which bounds the input.
    """
    x = graph.gelu(_convolution(graph, encoder.conv1, mel, "conv1", 1), "conv1.gelu")
    x = graph.gelu(_convolution(graph, encoder.conv2, x, "conv2", 2), "conv2.gelu")
    positions = graph.weight(array(encoder.positions[:longest]), "positions")
    count = graph.op("Shape", [x], "frames.encoded", start=1, end=2)
    here = graph.op(
        "Slice",
        [positions, graph.integers(0), count, graph.integers(0)],
        "positions.here",
    )
    states = [graph.op("Add", [x, here], "hidden.0")]
    for index in range(last):
        block = cast("Block", encoder.blocks[index])
        states.append(_block(graph, block, states[-1], index))
    return states


def _convolution(
    graph: GraphBuilder, convolution: nn.Conv1d, frames: str, name: str, stride: int
) -> str:
    """Apply a convolution of 3 frames, padded by one, to frames [B, T, in].

    As one product it needs no transposition, and its input quantizes like any other's
    (onnxruntime has an integer convolution only where the output is quantized too).
    """
    padded = graph.op("Pad", [frames, graph.integers(0, 1, 0, 0, 1, 0)], f"{name}.pad")
    spans = ((0, -2), (1, -1), (2, END))
    neighbours = [
        graph.cut(padded, 1, span, f"{name}.neighbour.{i}", stride)
        for i, span in enumerate(spans)
    ]
    unfolded = graph.op("Concat", neighbours, f"{name}.unfolded", axis=2)
    kernel = array(convolution.weight)  # [out, in, 3]
    weight = kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0])  # [3 in, out]
    bias = convolution.bias
    return graph.linear(unfolded, weight, None if bias is None else array(bias), name)


def _block(graph: GraphBuilder, block: Block, x: str, index: int) -> str:
    name = f"blocks.{index}"
    normal = _normalize(graph, block.attn_ln, x, f"{name}.attn_ln")
    mixed = _attention(graph, block.attn, normal, f"{name}.attn")
    x = graph.op("Add", [x, mixed], f"{name}.middle")
    normal = _normalize(graph, block.mlp_ln, x, f"{name}.mlp_ln")
    hidden = emit_linear(graph, block.mlp[0], normal, f"{name}.up")
    hidden = graph.gelu(hidden, f"{name}.gelu")
    change = emit_linear(graph, block.mlp[2], hidden, f"{name}.down")
    return graph.op("Add", [x, change], f"hidden.{index + 1}")


def _attention(graph: GraphBuilder, attention: Attention, x: str, name: str) -> str:
    weight = {
        part: array(getattr(attention, part).weight).T
        for part in ("query", "key", "value", "out")
    }
    width = weight["query"].shape[1]
    n_heads = attention.n_heads
    # Softmax takes the products divided by sqrt(64): the queries come divided.
    scale = (width // n_heads) ** -0.5
    query_bias = array(attention.query.bias) * scale
    query = graph.linear(x, weight["query"] * scale, query_bias, f"{name}.query")
    key = graph.linear(x, weight["key"], None, f"{name}.key")
    value = graph.linear(
        x, weight["value"], array(attention.value.bias), f"{name}.value"
    )

    def heads(of: str, role: str, order: list[int]) -> str:
        apart = graph.op(
            "Reshape", [of, graph.integers(0, 0, n_heads, -1)], f"{name}.{role}.apart"
        )
        return graph.op("Transpose", [apart], f"{name}.{role}.heads", perm=order)

    scores = graph.op(
        "MatMul",
        [
            heads(query, "query", [0, 2, 1, 3]),
            heads(key, "key", [0, 2, 3, 1]),
        ],
        f"{name}.scores",
    )
    shares = graph.op("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = graph.op(
        "MatMul", [shares, heads(value, "value", [0, 2, 1, 3])], f"{name}.mixed"
    )
    together = graph.op("Transpose", [mixed], f"{name}.together", perm=[0, 2, 1, 3])
    joined = graph.op(
        "Reshape", [together, graph.integers(0, 0, width)], f"{name}.joined"
    )
    return graph.linear(joined, weight["out"], array(attention.out.bias), f"{name}.out")


def _normalize(graph: GraphBuilder, norm: nn.LayerNorm, x: str, name: str) -> str:
    scale = graph.weight(array(norm.weight), f"{name}.scale")
    shift = graph.weight(array(norm.bias), f"{name}.shift")
    return graph.op(
        "LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=norm.eps
    )


def emit_linear(graph: GraphBuilder, module: nn.Module, x: str, name: str) -> str:
    """Apply a linear layer with bias to the last axis."""
    linear = cast("nn.Linear", module)
    return graph.linear(x, array(linear.weight).T, array(linear.bias), name)


def array(tensor: Tensor) -> NDArray[np.float64]:
    """Return a tensor's values in float64, in which exact rewrites are computed."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
