"""What is done to the samples before a network hears them, as ONNX operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from espressivo.training.config import SignalConfig
    from espressivo.training.export.graph.builder import GraphBuilder

_QUIETEST = 1e-30
"""A peak below it is silence; what is divided by it stays finite."""


def emit_signal(graph: GraphBuilder, config: SignalConfig, samples: str) -> str:
    """Return samples [B, time] emphasised and scaled as the run's clips were.

    Silence is not trimmed: a window is all of the input. The peak is the window's, not
    that of a recording it was cut from. Each row is scaled by itself, and digital
    silence stays silence.
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
    # Says the length to whoever plans memory.
    return graph.op("Reshape", [cut, graph.integers(0, n_samples)], "window")
