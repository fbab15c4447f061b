"""Pre-emphasis, peak and fixed window of the samples, as ONNX operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from espressivo.training.config import SignalConfig
    from espressivo.training.export.graph.builder import GraphBuilder

_QUIETEST = 1e-30
"""Least peak that samples are divided by, so that silence stays finite."""


def emit_signal(graph: GraphBuilder, config: SignalConfig, samples: str) -> str:
    """Return samples [B, time] emphasised and scaled as the run's clips were.

    Silence is not trimmed: the input is a whole window. The peak is that of the window,
    not of its recording. Each row is scaled by itself; digital silence stays silence.
    """
    if config.pre_emphasis:
        late = graph.op("Pad", [samples, graph.integers(0, 1, 0, 0)], "signal.late")
        before = graph.cut(late, 1, (0, -1), "signal.before")
        share = graph.number(config.pre_emphasis)
        before = graph.op("Mul", [before, share], "signal.predicted")
        samples = graph.op("Sub", [samples, before], "signal.emphasized")
    if not config.peak:
        return samples
    level = graph.op("Abs", [samples], "signal.level")
    peak = graph.reduce("Max", level, [1], "signal.peak", keep=True)
    peak = graph.op("Max", [peak, graph.number(_QUIETEST)], "signal.loudest")
    unit = graph.op("Div", [samples, peak], "signal.unit")
    return graph.op("Mul", [unit, graph.number(config.peak)], "signal.scaled")


def emit_fixed_window(graph: GraphBuilder, samples: str, n_samples: int) -> str:
    """Cut samples [B, time] at the end, or add zeros there, to [B, n_samples]."""
    longer = graph.op(
        "Pad", [samples, graph.integers(0, 0, 0, n_samples)], "window.longer"
    )
    cut = graph.cut(longer, 1, (0, n_samples), "window.cut")
    # A Reshape with a constant makes the length known to shape inference.
    return graph.op("Reshape", [cut, graph.integers(0, n_samples)], "window")
