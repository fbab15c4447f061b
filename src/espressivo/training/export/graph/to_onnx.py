"""A trained network -> one ONNX graph, from samples to probabilities."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.heads import (
    emit_average,
    emit_classifier,
    emit_pooling,
)
from espressivo.training.export.graph.hubert import emit_states
from espressivo.training.export.graph.light_sernet import emit_light_sernet
from espressivo.training.export.graph.logmel import emit_logmel
from espressivo.training.export.graph.signal import (
    emit_fixed_window,
    emit_signal,
)
from espressivo.training.export.graph.statistics import emit_statistics
from espressivo.training.export.graph.whisper import emit_encoder
from espressivo.training.networks import (
    HubertNetwork,
    LightSernet,
    StatisticsNetwork,
    WhisperNetwork,
)
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from torch import nn

    from espressivo.training.config import SignalConfig
    from espressivo.training.networks.network import Standardize

LONGEST_FRAMES = 400
"""Encoder frames of 20 ms in a window of 8 s: no other position is shipped."""


def to_onnx(
    network: nn.Module,
    temperature: float = 1.0,
    name: str = "espressivo",
    signal: SignalConfig | None = None,
) -> onnx.ModelProto:
    """Return the network as an fp32 graph of plain operators, opset 20.

    Input `samples` float32 [batch, time] at 16 kHz, at most 8 s; output `probabilities`
    float32 [batch, emotions]. Every row is valid to its end. Values in between are
    named after their layers; `hidden.0`, `hidden.1`, ... are the encoder's states.

    Args:
        network: Trained; only its weights are read.
        temperature: Divides the logits before the softmax.
        name: Of the graph, as viewers show it.
        signal: What was done to the clips that it was trained on: pre-emphasis and
            peak are in the graph too, of each row by itself. None: nothing was.

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
    samples = emit_signal(graph, signal, "samples") if signal else "samples"
    n_emotions = emit_probabilities(network, graph, samples, temperature)
    return graph.finish(
        name,
        __version__,
        {"samples": ["batch", "time"]},
        {"probabilities": ["batch", n_emotions]},
    )


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
        "train one of espressivo.training.networks"
    )


@emit_probabilities.register
def _(
    network: WhisperNetwork, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    mel = emit_logmel(graph, network.logmel, samples)
    last = max(network.states)
    states = emit_encoder(graph, network.encoder, mel, last, LONGEST_FRAMES)
    return _emit_head(graph, network, states, temperature)


@emit_probabilities.register
def _(
    network: HubertNetwork, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    if network.config.padding == "fixed":
        n_samples = round(network.config.window_s * SAMPLE_RATE)
        samples = emit_fixed_window(graph, samples, n_samples)
    states = emit_states(graph, network, samples)
    return _emit_head(graph, network, states, temperature, network.activations)


@emit_probabilities.register
def _(
    network: LightSernet, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    embedding = emit_light_sernet(graph, network, samples)
    return emit_classifier(graph, network, embedding, temperature)


@emit_probabilities.register
def _(
    network: StatisticsNetwork, graph: GraphBuilder, samples: str, temperature: float
) -> int:
    mel = emit_logmel(graph, network.logmel, samples)
    return emit_classifier(graph, network, emit_statistics(graph, mel), temperature)


def _emit_head(
    graph: GraphBuilder,
    network: WhisperNetwork | HubertNetwork,
    states: Sequence[str],
    temperature: float,
    activations: Standardize | None = None,
) -> int:
    """Add all behind an encoder's hidden states; return the columns' number."""
    chosen = [states[state] for state in network.states]
    average = emit_average(graph, network.average, chosen, activations)
    embedding = emit_pooling(network.pooling, graph, average)
    return emit_classifier(graph, network, embedding, temperature)
