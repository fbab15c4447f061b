"""Cost estimate of `espressivo reproduce --dry-run`, printed for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.config import ExperimentConfig
    from espressivo.training.reproduce.estimate import CostEstimate
    from espressivo.training.reproduce.studies import Stage
    from espressivo.training.reproduce.study_corpora import StudyCorpus


def dry_run(
    seeds: Sequence[int], sources: Mapping[str, StudyCorpus], stages: Sequence[Stage]
) -> None:
    """Estimate and print the runs, time and disk space of stages; write nothing."""
    from espressivo.training.reproduce import estimate

    utterances = [u for source in sources.values() for u in source.utterances]
    seconds, n_assumed = estimate.durations(utterances)
    config = stages[0].config
    lengths = [min(s, config.signal.longest_s) for s in seconds]
    costs = estimate.measure(config, sum(lengths) / len(lengths))
    found = []
    for stage in stages:
        found.append(estimate.estimate(stage, len(seeds), costs))
        if stage.entry.table == "production" and "ravdess" in sources:
            name = stage.entry.name.replace("production", "ravdess")
            n = len(sources["ravdess"].utterances)
            found.append(estimate.estimate_cross_corpus(name, n, len(seeds), costs))
    print_estimates(found, seconds, n_assumed, config)


def print_estimates(
    found: Sequence[CostEstimate],
    seconds: Sequence[float],
    n_assumed: int,
    config: ExperimentConfig,
) -> None:
    """Print runs, time and disk space.

    Args:
        found: Estimates of the stages, in order.
        seconds: Length of each recording, in seconds.
        n_assumed: Number of recordings without a readable header; their length is
            assumed to be the median.
        config: Configuration whose training step was timed.
    """
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole
    from espressivo.training.runs.folder import pick_device
    from espressivo.types import SAMPLE_RATE

    console = PlainConsole()
    grid = Table(box=None, pad_edge=False)
    grid.add_column("result", overflow="fold")
    for name in ("runs", "train", "validate", "test", "epochs", "at most"):
        grid.add_column(name, justify="right")
    for one in found:
        sizes = (one.n_train, one.n_validation, one.n_test, one.epochs)
        cells = (str(one.n_runs), *(f"{n:,}" for n in sizes), to_words(one.seconds))
        grid.add_row(one.name, *cells)
    total = sum(one.seconds for one in found)
    grid.add_row("all", "", "", "", "", "", to_words(total), style="bold")
    console.print(grid)
    step, device = found[0].step_s, pick_device(config)
    # Decoded recordings are cached as float32, four bytes a sample.
    signals = round(4 * SAMPLE_RATE * sum(seconds))
    # Stages share one cache, so the largest counts, not the sum.
    fronts = max(one.front_bytes for one in found)
    kept = sum(one.kept_bytes for one in found)
    passing = max(one.passing_bytes for one in found)
    lines = [
        "runs: folds times seeds; train, validate, test: utterances, mean over folds.",
        _of_time(step, config, str(device)),
        (
            f"Disk: {to_size(signals + fronts + kept)} when done, which are "
            f"{to_size(signals)} of decoded recordings, {to_size(fronts)} of what "
            f"frozen layers make of them, {to_size(kept)} of weights; and "
            f"{to_size(passing)} for each run that is going on."
        ),
        (
            f"Recordings: {sum(seconds) / 3600:.1f} h before trimming, "
            + (f"{n_assumed:,} of them assumed" if n_assumed else "by their headers")
            + ". Nothing was written."
        ),
    ]
    console.print()
    for line in lines:
        console.print(f"- {line}")


def _of_time(step_s: float, config: ExperimentConfig, device: str) -> str:
    return (
        "Time is an estimate, one run after the other, every epoch (patience may spare "
        f"some): a step of {config.training.batch_size} took {step_s:.3g} s on "
        f"{device} with threads={config.threads}, measured just now on noise; clips "
        "are varied and loaded in the same process (more workers may spare that)."
    )


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
