"""Conversion of a trained network to one ONNX graph, samples to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.signal import emit_signal
from espressivo.training.networks.registry import entry_of, resolve
from espressivo.version import __version__

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from espressivo.training.config import SignalConfig


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
        network: Trained network, which is not modified.
        temperature: Divisor of the logits before the softmax.
        name: Name of the graph, as viewers show it.
        signal: Preprocessing of the training clips. The graph applies its pre-emphasis
            and peak normalization to each row; None stands for neither.

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
    n_emotions = _emit_probabilities(graph, network, samples, temperature)
    return graph.finish(
        name,
        __version__,
        {"samples": ["batch", "time"]},
        {"probabilities": ["batch", n_emotions]},
    )


def _emit_probabilities(
    graph: GraphBuilder, network: nn.Module, samples: str, temperature: float
) -> int:
    """Add all nodes from `samples` to `probabilities`; return the number of columns."""
    entry = entry_of(network)
    if entry is None or not entry.emit:
        raise ExportError(
            f"{type(network).__name__}: no export is written for this network; "
            "train one of espressivo.training.networks"
        )
    n_emotions: int = resolve(entry.emit)(graph, network, samples, temperature)
    return n_emotions
