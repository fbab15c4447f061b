"""Whisper's convolutions and the statistics of their outputs, as ONNX operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.training.export.graph.heads import emit_classifier
from espressivo.training.export.graph.layers import emit_convolution
from espressivo.training.export.graph.logmel import emit_logmel

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.whisper_stem import WhisperStem


def emit_probabilities(
    graph: GraphBuilder, network: WhisperStem, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    x = emit_logmel(graph, network.logmel, samples)
    parts = []
    for number, layer in enumerate(network.convolutions, 1):
        name = f"conv{number}"
        x = graph.gelu(emit_convolution(graph, layer, x, name), f"{name}.gelu")
        parts += _statistics(graph, x, name)
    embedding = graph.op("Concat", parts, "embedding", axis=1)
    return emit_classifier(graph, network, embedding, temperature)


def _statistics(graph: GraphBuilder, x: str, name: str) -> list[str]:
    """Return mean and deviation over time of x [B, T, width], each [B, width]."""
    mean = graph.reduce("Mean", x, [1], f"{name}.mean.kept", keep=True)
    deviation = graph.op("Sub", [x, mean], f"{name}.deviation")
    square = graph.op("Mul", [deviation, deviation], f"{name}.square")
    variance = graph.reduce("Mean", square, [1], f"{name}.variance", keep=False)
    raised = graph.op("Add", [variance, graph.number(1e-6)], f"{name}.raised")
    flat = graph.op("Squeeze", [mean, graph.integers(1)], f"{name}.mean")
    return [flat, graph.op("Sqrt", [raised], f"{name}.std")]
