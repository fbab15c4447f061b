"""Layers from an encoder's hidden states to probabilities, as ONNX operators."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.layers import (
    array,
    emit_linear,
)
from espressivo.training.networks.heads import (
    AttentivePooling,
    LayerAverage,
    MeanPooling,
    PepinoPooling,
    StateAverage,
    StatisticsPooling,
    SuperbPooling,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from espressivo.training.networks.hubert import HubertNetwork
    from espressivo.training.networks.network import EmotionNetwork, Standardize
    from espressivo.training.networks.whisper_network import WhisperNetwork


def emit_head(
    graph: GraphBuilder,
    network: WhisperNetwork | HubertNetwork,
    states: Sequence[str],
    temperature: float,
    activations: Standardize | None = None,
) -> int:
    """Add all nodes after an encoder's hidden states; return the number of columns."""
    chosen = [states[state] for state in network.states]
    if network.config.join == "concatenate":
        embedding = emit_concatenation(network.pooling, graph, chosen)
    else:
        average = emit_average(graph, network.average, chosen, activations)
        embedding = emit_pooling(network.pooling, graph, average)
    return emit_classifier(graph, network, embedding, temperature)


def emit_average(
    graph: GraphBuilder,
    average: LayerAverage | StateAverage | None,
    states: Sequence[str],
    activations: Standardize | None = None,
) -> str:
    """Return the weighted sum of hidden states [B, T, width], of the first when None.

    Args:
        graph: Graph builder that receives the nodes.
        average: Module with the weights.
        states: Names, as many as there are weights.
        activations: Standardizes each dimension of each state [states, width] before.
    """
    if average is None:
        return states[0]
    if isinstance(average, LayerAverage):
        shares = array(average.scores.softmax(0))
    else:
        shares = array(average.weights) / array(average.weights).sum()
    gains = shares[:, None]
    if activations is not None:
        # (state - mean) / scale, weighted: one gain a dimension, and one shift in all.
        gains = gains / array(activations.scale)
    total = ""
    for state, gain in zip(states, gains, strict=True):
        name = state.removeprefix("hidden.")
        weight = graph.weight(gain, f"average.gain.{name}")
        part = graph.op("Mul", [state, weight], f"average.part.{name}")
        total = graph.op("Add", [total, part], f"average.{name}") if total else part
    if activations is None:
        return total
    shift = -(gains * array(activations.mean)).sum(0)
    return graph.op("Add", [total, graph.weight(shift, "average.shift")], "average")


def emit_concatenation(
    pooling: nn.Module, graph: GraphBuilder, states: Sequence[str]
) -> str:
    """Add the pooling of concatenated states [B, T, width]; return the embedding."""
    if not isinstance(pooling, MeanPooling) or len(states) == 1:
        frames = states[0]
        if len(states) > 1:
            frames = graph.op("Concat", states, "joined", axis=2)
        return emit_pooling(pooling, graph, frames)
    # Means are concatenated instead of frames, which are 400 times as many numbers.
    means = [
        graph.reduce("Mean", s, [1], f"mean.{s.removeprefix('hidden.')}", keep=False)
        for s in states
    ]
    return graph.op("Concat", means, "embedding", axis=1)


@singledispatch
def emit_pooling(pooling: nn.Module, graph: GraphBuilder, frames: str) -> str:
    """Add the pooling of frames [B, T, width]; return the embedding [B, embedding]."""
    del graph, frames
    raise ExportError(
        f"{type(pooling).__name__}: no export is written for this pooling"
    )


@emit_pooling.register
def _(pooling: MeanPooling, graph: GraphBuilder, frames: str) -> str:
    del pooling
    return graph.reduce("Mean", frames, [1], "embedding", keep=False)


@emit_pooling.register
def _(pooling: StatisticsPooling, graph: GraphBuilder, frames: str) -> str:
    del pooling
    mean = graph.reduce("Mean", frames, [1], "pooling.mean", keep=True)
    square = _squared_deviation(graph, frames, mean)
    variance = graph.reduce("Mean", square, [1], "pooling.var", keep=True)
    return _moments(graph, mean, variance)


@emit_pooling.register
def _(pooling: AttentivePooling, graph: GraphBuilder, frames: str) -> str:
    hidden = emit_linear(graph, pooling.score[0], frames, "pooling.hidden")
    bent = graph.op("Tanh", [hidden], "pooling.tanh")
    score = emit_linear(graph, pooling.score[2], bent, "pooling.score")
    shares = graph.op("Softmax", [score], "pooling.shares", axis=1)  # [B, T, 1]
    mean = _weighted_sum(graph, frames, shares, "pooling.mean")
    square = _squared_deviation(graph, frames, mean)
    return _moments(graph, mean, _weighted_sum(graph, square, shares, "pooling.var"))


@emit_pooling.register
def _(pooling: SuperbPooling, graph: GraphBuilder, frames: str) -> str:
    # The mean commutes with a linear layer, so the layer runs once on the mean.
    mean = graph.reduce("Mean", frames, [1], "pooling.mean", keep=False)
    return emit_linear(graph, pooling.project, mean, "embedding")


@emit_pooling.register
def _(pooling: PepinoPooling, graph: GraphBuilder, frames: str) -> str:
    for number, index in enumerate((0, 3)):
        name = f"pooling.{number}"
        frames = emit_linear(graph, pooling.layers[index], frames, name)
        frames = graph.op("Relu", [frames], f"{name}.relu")
    return graph.reduce("Mean", frames, [1], "embedding", keep=False)


def emit_classifier(
    graph: GraphBuilder, network: EmotionNetwork, embedding: str, temperature: float
) -> int:
    """Add `logits` [B, emotions] and `probabilities`; return the number of columns."""
    if network.background.is_fitted:
        logits = _over_background(graph, network, embedding, temperature)
    else:
        # Temperature is affine as standardization is: both go into the last matmul.
        weight, bias = raw_linear(
            network, network.classify.weight, network.classify.bias
        )
        logits = graph.linear(
            embedding, weight.T / temperature, bias / temperature, "logits"
        )
    graph.op("Softmax", [logits], "probabilities", axis=-1)
    return network.classify.out_features


def _over_background(
    graph: GraphBuilder, network: EmotionNetwork, embedding: str, temperature: float
) -> str:
    """Return logits no lower than that of background; see `networks.Background`."""
    background, classify = network.background, network.classify
    weight, bias = raw_linear(network, classify.weight, classify.bias)
    emotions = graph.linear(embedding, weight.T, bias, "emotions")
    weight, bias = raw_linear(network, background.weight[None], background.bias[None])
    floor = graph.linear(embedding, weight.T, bias, "background")
    # log(exp(a) + exp(b)) = a + Softplus(b - a), which cannot overflow.
    missing = graph.op("Sub", [floor, emotions], "background.missing")
    added = graph.op("Softplus", [missing], "background.added")
    raised = graph.op("Add", [emotions, added], "emotions.raised")
    return graph.op("Div", [raised, graph.number(temperature)], "logits")


def raw_linear(
    network: EmotionNetwork, weight: Tensor, bias: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight [C, width] and bias [C] for embeddings before standardization."""
    scaled = array(weight) / array(network.standardize.scale)
    return scaled, array(bias) - scaled @ array(network.standardize.mean)


def _weighted_sum(graph: GraphBuilder, rows: str, shares: str, name: str) -> str:
    weighted = graph.op("Mul", [rows, shares], f"{name}.weighted")
    return graph.op("ReduceSum", [weighted, graph.integers(1)], name, keepdims=1)


def _squared_deviation(graph: GraphBuilder, frames: str, mean: str) -> str:
    deviation = graph.op("Sub", [frames, mean], "pooling.deviation")
    return graph.op("Mul", [deviation, deviation], "pooling.square")


def _moments(graph: GraphBuilder, mean: str, variance: str) -> str:
    raised = graph.op("Add", [variance, graph.number(1e-6)], "pooling.raised")
    deviation = graph.op("Sqrt", [raised], "pooling.std")
    both = graph.op("Concat", [mean, deviation], "pooling.both", axis=2)
    return graph.op("Squeeze", [both, graph.integers(1)], "embedding")
