"""Outputs `embedding`, and `dimensions` of a network that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.data_movement import producers
from espressivo.training.export.graph.heads import raw_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from espressivo.training.networks.network import EmotionNetwork

DIMENSIONS = "dimensions"
EMBEDDING = "embedding"


def with_dimensions(model: onnx.ModelProto, network: EmotionNetwork) -> onnx.ModelProto:
    """Return a copy with more outputs, of which `dimensions` only if there are any.

    `embedding` is float32 [batch, width], `dimensions` float32 [batch, D]. All other
    nodes stay as they are.

    Args:
        model: Graph from `to_onnx`, in its shipped precision.
        network: The network that it was written from.

    Raises:
        ExportError: The graph computes no embedding.
    """
    if EMBEDDING not in producers(model):
        raise ExportError(
            "the graph computes no value named `embedding`; this is a defect of the "
            "exporter: report it"
        )
    graph = GraphBuilder()
    outputs: dict[str, Sequence[str | int]] = {
        EMBEDDING: ["batch", network.classify.in_features]
    }
    if (head := network.dimensions) is not None:
        weight, bias = raw_linear(network, head.weight, head.bias)
        levels = graph.linear(EMBEDDING, weight.T, bias, "dimensions.logits")
        graph.op("Sigmoid", [levels], DIMENSIONS)
        outputs[DIMENSIONS] = ["batch", head.out_features]
    return graph.added_to(model, outputs)
