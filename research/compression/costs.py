"""Sizes and times in int8, all measured in turn on this machine.

The time of a graph hardly depends on its weights: networks that were not trained here
have random ones.
"""

from __future__ import annotations

import csv
import json
import time
from typing import TYPE_CHECKING

from espressivo.bench import time_graphs
from espressivo.files.atomic import replacing
from espressivo.model.find import bundled_models, find_model
from espressivo.training.compress.search.costs import int8_graph
from espressivo.training.config import ExperimentConfig
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.network import count_parameters

if TYPE_CHECKING:
    from pathlib import Path


_OTHERS = {
    "DistilHuBERT (Ismail 2025)": NetworkConfig(
        "distilhubert", states=(-1,), head="mean", padding="fixed"
    ),
    "LIGHT-SERNET": NetworkConfig("light_sernet", padding="fixed", window_s=7.0),
}
"""Systems whose architecture is here, and whose weights are not."""

_ROUNDS = 41


def measure_costs(path: Path) -> None:
    """Write costs.csv: every bundled model, and `_OTHERS` in int8.

    The processor time is the shortest of the rounds: other programs only add to it.
    """
    graphs: dict[str, bytes] = {}
    parameters: dict[str, int] = {}
    for name in bundled_models():
        folder = find_model(name)
        graphs[name] = (folder / "model.onnx").read_bytes()
        exported = json.loads((folder / "export.json").read_text("utf-8"))
        parameters[name] = exported["n_parameters"]
    for name, network in _OTHERS.items():
        config = ExperimentConfig(name=name, corpora={}, network=network)
        graphs[name] = int8_graph(config, {})
        parameters[name] = count_parameters(build_network(network))[0]
    times = time_graphs(graphs, rounds=_ROUNDS, clock=time.thread_time)
    with (
        replacing(path) as whole,
        whole.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", "megabytes", "milliseconds", "parameters"])
        for name, graph in graphs.items():
            size, best = len(graph) / 1e6, 1e3 * min(times[name])
            row = [name, f"{size:.3f}", f"{best:.2f}", parameters[name]]
            writer.writerow(row)
