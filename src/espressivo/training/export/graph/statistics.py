"""The statistics of the classical baseline as ONNX operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.training.export.graph.builder import END
from espressivo.training.export.graph.heads import emit_classifier
from espressivo.training.export.graph.logmel import emit_logmel

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.statistics_network import StatisticsNetwork


def emit_probabilities(
    graph: GraphBuilder, network: StatisticsNetwork, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    mel = emit_logmel(graph, network.logmel, samples)
    return emit_classifier(graph, network, emit_statistics(graph, mel), temperature)


def emit_statistics(graph: GraphBuilder, mel: str) -> str:
    """Return five statistics of each band of mel frames [B, T, 80]: [B, 400].

    Mean, standard deviation, least, greatest, mean absolute change between frames, of
    which there are two at least.
    """

    def over_time(kind: str, value: str, name: str) -> str:
        return graph.reduce(kind, value, [1], name, keep=True)

    mean = over_time("Mean", mel, "mel.mean")
    deviation = graph.op("Sub", [mel, mean], "mel.deviation")
    square = graph.op("Mul", [deviation, deviation], "mel.square")
    variance = over_time("Mean", square, "mel.variance")
    following = graph.cut(mel, 1, (1, END), "mel.following")
    leading = graph.cut(mel, 1, (0, -1), "mel.leading")
    step = graph.op("Sub", [following, leading], "mel.step")
    parts = [
        mean,
        graph.op("Sqrt", [variance], "mel.std"),
        over_time("Min", mel, "mel.least"),
        over_time("Max", mel, "mel.greatest"),
        over_time("Mean", graph.op("Abs", [step], "mel.change"), "mel.changes"),
    ]
    together = graph.op("Concat", parts, "mel.statistics", axis=2)
    return graph.op("Squeeze", [together, graph.integers(1)], "embedding")
