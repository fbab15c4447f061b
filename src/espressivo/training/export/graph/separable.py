"""The separable network as ONNX operators, frames before channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from espressivo.training.export.graph.heads import emit_classifier, emit_pooling
from espressivo.training.export.graph.layers import (
    array,
    emit_convolution,
    emit_linear,
)
from espressivo.training.export.graph.logmel import emit_logmel

if TYPE_CHECKING:
    from espressivo.training.export.graph.builder import GraphBuilder
    from espressivo.training.networks.separable import Block, SeparableNetwork


def emit_probabilities(
    graph: GraphBuilder, network: SeparableNetwork, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    mel = emit_logmel(graph, network.logmel, samples)
    x = emit_convolution(graph, network.stem, mel, "stem")
    x = graph.op("Relu", [x], "hidden.0")
    for index, block in enumerate(network.layers):
        x = _block(graph, cast("Block", block), x, index)
    embedding = emit_pooling(network.pooling, graph, x)
    return emit_classifier(graph, network, embedding, temperature)


def _block(graph: GraphBuilder, block: Block, x: str, index: int) -> str:
    name = f"blocks.{index}"
    convolution, norm = block.depthwise, block.norm
    # The norm is folded into the convolution.
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = array(norm.weight) / (array(norm.running_var) + norm.eps) ** 0.5
    kernel = array(convolution.weight) * gain[:, None, None]
    bias = array(norm.bias) - array(norm.running_mean) * gain
    (size,) = convolution.kernel_size
    turned = graph.op("Transpose", [x], f"{name}.turned", perm=[0, 2, 1])
    convolved = graph.op(
        "Conv",
        [
            turned,
            graph.weight(kernel, f"{name}.depthwise.weight"),
            graph.weight(bias, f"{name}.depthwise.bias"),
        ],
        f"{name}.depthwise",
        group=convolution.groups,
        kernel_shape=[size],
        pads=[size // 2, size // 2],
    )
    back = graph.op("Transpose", [convolved], f"{name}.back", perm=[0, 2, 1])
    hidden = emit_linear(graph, block.up, back, f"{name}.up")
    hidden = graph.op("Relu", [hidden], f"{name}.relu")
    change = emit_linear(graph, block.down, hidden, f"{name}.down")
    return graph.op("Add", [x, change], f"hidden.{index + 1}")
