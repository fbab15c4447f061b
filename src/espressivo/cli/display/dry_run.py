"""Cost estimate of `espressivo reproduce --dry-run`, printed for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.reproduce.estimate import CostEstimate, NetworkCosts
    from espressivo.training.reproduce.studies import Stage
    from espressivo.training.reproduce.study_corpora import StudyCorpus


def dry_run(
    seeds: Sequence[int], sources: Mapping[str, StudyCorpus], stages: Sequence[Stage]
) -> None:
    """Print the runs, operations, time and disk space of stages; write nothing."""
    from espressivo.training.reproduce import estimate

    utterances = [u for source in sources.values() for u in source.utterances]
    seconds, n_assumed = estimate.durations(utterances)
    config = stages[0].config
    lengths = [min(s, config.signal.longest_s) for s in seconds]
    mean_s = sum(lengths) / len(lengths)
    costs = estimate.measure(config, mean_s)
    found = []
    for stage in stages:
        found.append(estimate.estimate(stage, len(seeds), costs))
        if stage.entry.table == "production" and "ravdess" in sources:
            name = stage.entry.name.replace("production", "ravdess")
            n = len(sources["ravdess"].utterances)
            found.append(estimate.estimate_cross_corpus(name, n, len(seeds), costs))
    _print_estimates(
        found,
        [
            *_of_operations(found, config, mean_s),
            *_of_time(found, costs, config),
            _of_disk(found, seconds),
            f"Recordings: {sum(seconds) / 3600:.1f} h before trimming, "
            + (f"{n_assumed:,} of them assumed" if n_assumed else "by their headers")
            + ". Nothing was written.",
        ],
    )


def _print_estimates(found: Sequence[CostEstimate], notes: Sequence[str]) -> None:
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole

    console = PlainConsole()
    grid = Table(box=None, pad_edge=False)
    grid.add_column("result", overflow="fold")
    for name in ("runs", "train", "validate", "test", "epochs", "operations"):
        grid.add_column(name, justify="right")
    for one in found:
        sizes = (one.n_train, one.n_validation, one.n_test, one.epochs)
        cells = (str(one.n_runs), *(f"{n:,}" for n in sizes), to_macs(one.macs))
        grid.add_row(one.name, *cells)
    total = sum(one.macs for one in found)
    grid.add_row("all", "", "", "", "", "", to_macs(total), style="bold")
    console.print(grid)
    console.print()
    for note in notes:
        console.print(f"- {note}")


def _of_operations(
    found: Sequence[CostEstimate], config: ExperimentConfig, mean_s: float
) -> list[str]:
    # A TFLOP is 10^12 operations, of which a multiply-accumulate is two.
    seconds = 2 * sum(one.macs for one in found) / 1e12
    is_fixed = config.network.padding == "fixed"
    length = config.network.window_s if is_fixed else mean_s
    return [
        "runs: folds times seeds; train, validate, test: utterances, mean over folds.",
        (
            "operations: multiply-accumulates (MAC) of matrix products and "
            "convolutions, with their gradients, in every epoch (patience may spare "
            f"some), for clips of {length:.3g} s. They are the same on every machine."
        ),
        (
            f"A GPU that sustains N TFLOP/s takes {to_words(seconds)} / N for them; "
            "what it sustains is a part of its peak, and clips are varied on the CPU "
            "meanwhile."
        ),
    ]


def _of_time(
    found: Sequence[CostEstimate], costs: NetworkCosts, config: ExperimentConfig
) -> list[str]:
    from espressivo.training.runs.folder import pick_device

    n = config.training.batch_size
    rate = n * costs.train_macs / costs.step_s
    return [
        (
            f"This machine, in a short benchmark just now on {pick_device(config)} "
            f"with threads={config.threads}: {to_macs(rate)}/s, a training step of {n} "
            f"taking {costs.step_s:.3g} s (what other programs took is left out). As "
            "fast as that, all runs one after the other take "
            f"{to_words(sum(one.seconds for one in found))}, clips being varied and "
            "loaded in the same process (more workers may spare that)."
        )
    ]


def _of_disk(found: Sequence[CostEstimate], seconds: Sequence[float]) -> str:
    from espressivo.types import SAMPLE_RATE

    # Decoded recordings are cached as float32, four bytes a sample.
    signals = round(4 * SAMPLE_RATE * sum(seconds))
    # Stages share one cache, so the largest counts, not the sum.
    fronts = max(one.front_bytes for one in found)
    kept = sum(one.kept_bytes for one in found)
    passing = max(one.passing_bytes for one in found)
    return (
        f"Disk: {to_size(signals + fronts + kept)} when done, which are "
        f"{to_size(signals)} of decoded recordings, {to_size(fronts)} of what "
        f"frozen layers make of them, {to_size(kept)} of weights; and "
        f"{to_size(passing)} for each run that is going on."
    )


def to_macs(n: float) -> str:
    """Return a number of multiply-accumulates as text, in a suitable unit.

    >>> [to_macs(n) for n in (27.8e9, 3.21e13, 4.5e17, 2e18)]
    ['27.8 GMAC', '32.1 TMAC', '450 PMAC', '2 EMAC']
    """
    sizes = (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9))
    unit, size = next((pair for pair in sizes if n >= pair[1]), sizes[-1])
    return f"{n / size:.3g} {unit}MAC"


def to_words(seconds: float) -> str:
    """Return a duration in seconds as text, in a suitable unit.

    >>> [to_words(s) for s in (0.2, 90, 5400, 400_000)]
    ['1 s', '1.5 min', '1.5 h', '4.6 days']
    """
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size or (unit != "days" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"


def to_size(n_bytes: float) -> str:
    """Return a size in bytes as text, in a suitable unit.

    >>> [to_size(n) for n in (0, 5e5, 23.5e6, 25.2e9)]
    ['0 MB', '1 MB', '24 MB', '25.2 GB']
    """
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    # Rounded up, since it answers whether the disk has room.
    return f"{math.ceil(n_bytes / 1e6)} MB"
