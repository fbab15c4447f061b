"""Whisper's encoder as ONNX operators: convolutions and attention as matmuls."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from espressivo.training.export.graph.heads import emit_head
from espressivo.training.export.graph.layers import (
    AttentionLayers,
    array,
    emit_attention,
    emit_convolution,
    emit_linear,
    emit_normalization,
)
from espressivo.training.export.graph.logmel import emit_logmel
from espressivo.training.networks.whisper import position_rates

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.whisper import Block, WhisperEncoder
    from espressivo.training.networks.whisper_network import WhisperNetwork

LONGEST_FRAMES = 400
"""Encoder frames of 20 ms in a window of 8 s: later ones have no position."""

TABLES = ("positions.rates",)
"""Initializers of the encoder that are not trained."""

_WAVES = ("Sin", "Cos")


def emit_probabilities(
    graph: GraphBuilder, network: WhisperNetwork, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    mel = emit_logmel(graph, network.logmel, samples)
    last = max(network.states)
    states = emit_encoder(graph, network.encoder, mel, last, LONGEST_FRAMES)
    return emit_head(graph, network, states, temperature)


def emit_encoder(
    graph: GraphBuilder, encoder: WhisperEncoder, mel: str, last: int, longest: int
) -> list[str]:
    """Return the hidden states [B, T, width] of mel frames [B, 2 T, 80].

    Args:
        graph: Graph builder that receives the nodes.
        encoder: Encoder with the weights.
        mel: Name of the mel frames.
        last: Highest state wanted; the blocks above it are left out.
        longest: Frames that keep a position, which bounds the input.
    """
    x = graph.gelu(emit_convolution(graph, encoder.conv1, mel, "conv1"), "conv1.gelu")
    x = graph.gelu(emit_convolution(graph, encoder.conv2, x, "conv2"), "conv2.gelu")
    positions = _positions(graph, encoder.positions.shape[1], longest)
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


def _positions(graph: GraphBuilder, width: int, longest: int) -> str:
    """Return the positions [longest, width] from their formula, see `sinusoids`.

    Runtimes compute constants when they open a graph.
    """
    span = [graph.number(n) for n in (0.0, longest, 1.0)]
    frames = graph.op("Range", span, "positions.frames")
    column = graph.op("Unsqueeze", [frames, graph.integers(1)], "positions.column")
    rates = graph.weight(array(position_rates(width)), "positions.rates")
    phase = graph.op("Mul", [column, rates], "positions.phase")
    waves = [graph.op(kind, [phase], f"positions.{kind.lower()}") for kind in _WAVES]
    return graph.op("Concat", waves, "positions", axis=1)


def _block(graph: GraphBuilder, block: Block, x: str, index: int) -> str:
    """Apply a block; a pruned one may lack its attention, its MLP, or both."""
    name, output = f"blocks.{index}", f"hidden.{index + 1}"
    if block.attn is not None and block.attn_ln is not None:
        normal = emit_normalization(graph, block.attn_ln, x, f"{name}.attn_ln")
        layers = block.attn
        attention = AttentionLayers(
            layers.query, layers.key, layers.value, layers.out, layers.n_heads
        )
        mixed = emit_attention(graph, attention, normal, f"{name}.attn")
        middle = f"{name}.middle" if block.mlp is not None else output
        x = graph.op("Add", [x, mixed], middle)
    if block.mlp is not None and block.mlp_ln is not None:
        normal = emit_normalization(graph, block.mlp_ln, x, f"{name}.mlp_ln")
        hidden = emit_linear(graph, block.mlp[0], normal, f"{name}.up")
        hidden = graph.gelu(hidden, f"{name}.gelu")
        change = emit_linear(graph, block.mlp[2], hidden, f"{name}.down")
        return graph.op("Add", [x, change], output)
    # A state of its own name, even if it is the one before; runtimes remove the node.
    return x if block.attn is not None else graph.op("Identity", [x], output)
