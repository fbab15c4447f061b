"""Size and time of a network in int8, as `espressivo export` would ship it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from espressivo.bench import time_graphs
from espressivo.machine import processor_name
from espressivo.training.export.card import WINDOW_S
from espressivo.training.export.graph.dimensions import with_dimensions
from espressivo.training.export.graph.tiling import tile_convolution
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.export.graph.voice import with_voice
from espressivo.training.export.quantize.fp16 import halve_constants
from espressivo.training.export.quantize.quantizer import calibrate_quantizer
from espressivo.training.export.quantize.targets import find_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.fit.voice_fit import VoiceProjection
    from espressivo.training.networks.network import EmotionNetwork
    from espressivo.types import Signal

_ROUNDS = 21


@dataclass(frozen=True, slots=True)
class Int8Costs:
    """Size and time of the int8 graphs before and after pruning.

    Attributes:
        bytes_before: Size of the unpruned graph.
        bytes_after: Size of the pruned graph.
        seconds_before: Time of a window on one thread, median of rounds in turn.
        seconds_after: That of the pruned graph.
        ratio: Median over rounds of the pruned graph's time over the unpruned one's.
        window_s: Length of the window, in seconds.
        processor: Name of the processor that this was measured on.
    """

    bytes_before: int
    bytes_after: int
    seconds_before: float
    seconds_after: float
    ratio: float
    window_s: float
    processor: str


def to_int8(
    network: EmotionNetwork,
    config: ExperimentConfig,
    projection: VoiceProjection | None,
    windows: Sequence[Signal],
) -> bytes:
    """Return the graph that `export` would write, with every matmul in int8.

    Args:
        network: The network, on any device.
        config: Configuration of the run.
        projection: Projection to voice vectors; None where the run has none.
        windows: Windows that calibrate the ranges of activations.
    """
    network = network.cpu()
    fp32 = to_onnx(network, 1.0, config.name, config.signal)
    targets = [t for t in find_targets(fp32) if t.kind == "weights"]
    int8 = calibrate_quantizer(fp32, targets, windows).quantize_and_center(targets)
    shipped = with_dimensions(tile_convolution(halve_constants(int8)), network)
    if projection is not None:
        shipped = with_voice(shipped, projection)
    graph: bytes = shipped.SerializeToString(deterministic=True)
    return graph


def measure_int8(before: bytes, after: bytes) -> Int8Costs:
    """Return sizes and times of two graphs, timed in turn on one thread."""
    times = time_graphs({"before": before, "after": after}, WINDOW_S, rounds=_ROUNDS)
    rounds = zip(times["before"], times["after"], strict=True)
    return Int8Costs(
        bytes_before=len(before),
        bytes_after=len(after),
        seconds_before=median(times["before"]),
        seconds_after=median(times["after"]),
        ratio=median(after / before for before, after in rounds),
        window_s=WINDOW_S,
        processor=processor_name(),
    )
