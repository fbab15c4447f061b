"""Whisper's encoder as ONNX operators: convolutions and attention as products."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from espressivo.training.export.graph.attention import (
    Attention,
    emit_attention,
)
from espressivo.training.export.graph.layers import (
    array,
    emit_convolution,
    emit_linear,
    emit_normalization,
)

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.whisper import Block, WhisperEncoder


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
    x = graph.gelu(emit_convolution(graph, encoder.conv1, mel, "conv1"), "conv1.gelu")
    x = graph.gelu(emit_convolution(graph, encoder.conv2, x, "conv2"), "conv2.gelu")
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


def _block(graph: GraphBuilder, block: Block, x: str, index: int) -> str:
    name = f"blocks.{index}"
    normal = emit_normalization(graph, block.attn_ln, x, f"{name}.attn_ln")
    layers = block.attn
    attention = Attention(
        layers.query, layers.key, layers.value, layers.out, layers.n_heads
    )
    mixed = emit_attention(graph, attention, normal, f"{name}.attn")
    x = graph.op("Add", [x, mixed], f"{name}.middle")
    normal = emit_normalization(graph, block.mlp_ln, x, f"{name}.mlp_ln")
    hidden = emit_linear(graph, block.mlp[0], normal, f"{name}.up")
    hidden = graph.gelu(hidden, f"{name}.gelu")
    change = emit_linear(graph, block.mlp[2], hidden, f"{name}.down")
    return graph.op("Add", [x, change], f"hidden.{index + 1}")
