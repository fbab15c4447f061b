"""Size and inference time of trained networks, for the figure of UA against both.

    python benchmarks/training/networks.py runs/study/ravdess-* > costs.csv
    espressivo tables runs/study/ravdess-* --costs costs.csv --out report

Size is that of the weights in fp32. Time is that of one recording of 8 s through the
whole network in torch, fp32, one thread: the median of runs that alternate between
networks. A network with a fixed window processes only that part of the recording.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from espressivo.training.runs.folder import load_run
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from espressivo.training.networks.network import EmotionNetwork


def seconds(network: EmotionNetwork, samples: torch.Tensor) -> float:
    """Time one forward pass."""
    begun = time.perf_counter()
    with torch.inference_mode():
        network(samples)
    return time.perf_counter() - begun


def main() -> None:
    """Print a CSV with one line per network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    samples = 0.1 * torch.randn(1, 8 * SAMPLE_RATE)
    networks: dict[str, EmotionNetwork] = {}
    for result in args.results:
        name = json.loads((result / "crossval.json").read_text("utf-8"))["name"]
        run = next(iter(sorted(result.glob("*/seed-*/model.safetensors")))).parent
        networks[name] = load_run(run)
    found: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(args.runs + 1):
        for name, network in networks.items():
            took = seconds(network, samples)
            if turn:  # the first one warms up
                found[name].append(took)
    print("name,size_mb,time_ms")
    for name, network in networks.items():
        n = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name},{4e-6 * n:.2f},{1e3 * statistics.median(found[name]):.1f}")


if __name__ == "__main__":
    main()
