"""What every shape costs in int8, measured on untrained networks before any trial.

Size and time of a graph hardly depend on the values of its weights, so that nothing
needs to be trained to know them.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from espressivo.bench import time_graphs
from espressivo.errors import TrainingError
from espressivo.files.atomic import write_text
from espressivo.machine import processor_name
from espressivo.training.compress.search.space import (
    describe,
    name_of,
    network_config,
)
from espressivo.training.export.graph.dimensions import with_dimensions
from espressivo.training.export.graph.tiling import tile_convolution
from espressivo.training.export.graph.to_onnx import to_onnx
from espressivo.training.export.options import unwatched
from espressivo.training.export.quantize.fp16 import halve_constants
from espressivo.training.export.quantize.quantizer import calibrate_quantizer
from espressivo.training.export.quantize.targets import find_targets
from espressivo.training.networks import build_network
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from espressivo.training.compress.search.space import Shape
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.export.options import StepProgress

COSTS = "costs.json"

_ROUNDS = 21


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a shape in int8.

    Attributes:
        megabytes: Size of the ONNX graph, in 10^6 bytes.
        milliseconds: Processor time of an 8 s window on one thread: the shortest of the
            rounds, in which all shapes take turns.
    """

    megabytes: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a student may cost; None stands for any amount."""

    megabytes: float | None = None
    milliseconds: float | None = None

    def excess(self, cost: Cost) -> float:
        """Return the cost as a multiple of the budget, at most 1 if it is within."""
        limits = (
            (cost.megabytes, self.megabytes),
            (cost.milliseconds, self.milliseconds),
        )
        return max((c / most for c, most in limits if most is not None), default=0.0)

    def __str__(self) -> str:
        """Return the limits in a sentence."""
        limits = ((self.megabytes, "MB"), (self.milliseconds, "ms"))
        return " and ".join(f"{most:g} {unit}" for most, unit in limits if most)


def load_or_measure_costs(
    folder: Path,
    config: ExperimentConfig,
    shapes: Sequence[Shape],
    progress: StepProgress = unwatched,
) -> dict[str, Cost]:
    """Return name of a shape -> its cost, measured once and kept in the study's folder.

    Args:
        folder: The study's folder, which no other process measures for meanwhile.
        config: The configuration of the students.
        shapes: Every shape of the space.
        progress: Callback with the name of each step.

    Raises:
        TrainingError: The file of the costs is damaged.
    """
    kept = folder / COSTS
    if kept.is_file():
        return _read_costs(kept)
    costs = measure_costs(config, shapes, progress)
    described = {
        "processor": processor_name(),
        "shapes": {name: asdict(cost) for name, cost in costs.items()},
    }
    write_text(json.dumps(described, indent=2) + "\n", kept)
    return costs


def _read_costs(path: Path) -> dict[str, Cost]:
    try:
        stored = json.loads(path.read_text("utf-8"))["shapes"]
        return {name: Cost(**cost) for name, cost in stored.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path}: does not hold the costs of shapes ({error}); remove it, and they "
            "are measured again"
        ) from error


def measure_costs(
    config: ExperimentConfig,
    shapes: Sequence[Shape],
    progress: StepProgress = unwatched,
) -> dict[str, Cost]:
    """Return name of a shape -> the cost of its untrained network in int8."""
    graphs = {}
    for done, shape in enumerate(shapes):
        progress("exporting shapes", done, len(shapes))
        graphs[name_of(shape)] = int8_graph(config, shape)
    progress("timing shapes")
    # In turn and by processor time, so that a busy machine changes little.
    times = time_graphs(graphs, rounds=_ROUNDS, clock=time.thread_time)
    return {
        name: Cost(len(graph) / 1e6, 1e3 * min(times[name]))
        for name, graph in graphs.items()
    }


def int8_graph(config: ExperimentConfig, shape: Shape) -> bytes:
    """Return the graph of an untrained student in int8, as `espressivo export` would.

    It lacks the projection to voice vectors, which a recipe with `profile.fit` adds.
    """
    torch.manual_seed(config.seed)
    network = build_network(network_config(config, shape)).eval()
    fp32 = to_onnx(network, signal=config.signal)
    targets = [target for target in find_targets(fp32) if target.kind == "weights"]
    # Ranges change neither size nor time, so that no recording is needed.
    noise = np.random.default_rng(config.seed).standard_normal(SAMPLE_RATE)
    windows = [(0.1 * noise).astype(np.float32)]
    int8 = calibrate_quantizer(fp32, targets, windows).quantize(targets)
    shipped = with_dimensions(tile_convolution(halve_constants(int8)), network)
    graph: bytes = shipped.SerializeToString()
    return graph


def require_possible(
    budget: Budget, shapes: Sequence[Shape], costs: Mapping[str, Cost]
) -> None:
    """Refuse a budget that no shape keeps.

    Raises:
        TrainingError: Every shape costs more; the message names the nearest.
    """
    nearest = min(shapes, key=lambda shape: budget.excess(costs[name_of(shape)]))
    cost = costs[name_of(nearest)]
    if budget.excess(cost) > 1:
        raise TrainingError(
            f"no shape of the space costs at most {budget}; the nearest is "
            f"{describe(nearest)}, {cost.megabytes:.2f} MB and "
            f"{cost.milliseconds:.1f} ms; raise the budget, or name smaller values in "
            "[search]"
        )
