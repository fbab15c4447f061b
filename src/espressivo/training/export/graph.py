"""A trained network -> one ONNX graph, from samples to probabilities."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.export.builder import GraphBuilder
from espressivo.training.export.encoder import array, emit_encoder, emit_linear
from espressivo.training.export.frontend import emit_logmel
from espressivo.training.networks import WhisperNetwork
from espressivo.training.networks.heads import (
    AttentivePooling,
    MeanPooling,
    StatisticsPooling,
)
from espressivo.version import __version__

if TYPE_CHECKING:
    import onnx
    from torch import nn

LONGEST_FRAMES = 400
"""Encoder frames of 20 ms in a window of 8 s: no other position is shipped."""


def to_onnx(
    network: nn.Module, temperature: float = 1.0, name: str = "espressivo"
) -> onnx.ModelProto:
    """Return the network as an fp32 graph of plain operators, opset 17.

    Input `samples` float32 [batch, time] at 16 kHz, at most 8 s; output `probabilities`
    float32 [batch, emotions]. Every row is valid to its end. Values in between are
    named after their layers; `hidden.0`, `hidden.1`, ... are the encoder's states.

    Args:
        network: Trained; only its weights are read.
        temperature: Divides the logits before the softmax.
        name: Of the graph, as viewers show it.

    Raises:
        ExportError: The network is of a kind that has no export, or the temperature is
            not a positive number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ExportError(
            f"temperature is {temperature}, not a positive number; "
            "fit it again with `espressivo train`"
        )
    graph = GraphBuilder()
    n_emotions = emit_probabilities(network, graph, "samples", temperature)
    return graph.finish(name, __version__, n_emotions)


@singledispatch
def emit_probabilities(
    network: nn.Module, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the columns' number.

    One implementation a kind of network, registered by its class.
    """
    del graph, samples, temperature
    raise ExportError(
        f"{type(network).__name__}: no export is written for this network; "
        "train a WhisperNetwork"
    )


@emit_probabilities.register
def _(
    network: WhisperNetwork, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    mel = emit_logmel(graph, network.logmel, samples)
    last = max(network.states)
    states = emit_encoder(graph, network.encoder, mel, last, LONGEST_FRAMES)
    shares = array(network.average.scores.softmax(0))
    average = ""
    for share, state in zip(shares, network.states, strict=True):
        part = graph.op(
            "Mul", [states[state], graph.number(share)], f"average.part.{state}"
        )
        average = (
            graph.op("Add", [average, part], f"average.{state}") if average else part
        )
    embedding = emit_pooling(network.pooling, graph, average)
    # Standardization and temperature are affine: both go into the last product.
    scale = array(network.standardize.scale)
    weight = array(network.classify.weight) / scale / temperature  # [emotions, width]
    bias = array(network.classify.bias) / temperature
    bias -= weight @ array(network.standardize.mean)
    logits = graph.linear(embedding, weight.T, bias, "logits")
    graph.op("Softmax", [logits], "probabilities", axis=-1)
    return len(bias)


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
    return graph.op("ReduceMean", [frames], "embedding", axes=[1], keepdims=0)


@emit_pooling.register
def _(pooling: StatisticsPooling, graph: GraphBuilder, frames: str) -> str:
    del pooling
    mean = graph.op("ReduceMean", [frames], "pooling.mean", axes=[1], keepdims=1)
    square = _squared_deviation(graph, frames, mean)
    variance = graph.op("ReduceMean", [square], "pooling.var", axes=[1], keepdims=1)
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
