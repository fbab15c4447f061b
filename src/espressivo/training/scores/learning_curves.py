"""Learning curves of a cross-validation: the validation UA of each epoch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.training.scores.crossval_predictions import Run
    from espressivo.training.scores.crossval_results import CrossvalResults


def read_learning_curves(results: CrossvalResults) -> dict[Run, list[float]]:
    """Read the validation UA of each epoch, for runs that logged at least two epochs.

    A run of one epoch, such as a classifier in closed form, has no curve. None are
    returned for tasks with dimensions, whose epoch is chosen by another score.
    """
    found: dict[Run, list[float]] = {}
    if results.card.get("task", "emotions") != "emotions":
        return found
    for fold, seed in results.by_run:
        path = results.folder / fold / f"seed-{seed}" / "metrics.jsonl"
        if len(values := _read_curve(path)) > 1:
            found[fold, seed] = values
    return found


def _read_curve(path: Path) -> list[float]:
    values = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            value = json.loads(line).get("mean_recall")
        except ValueError:
            continue  # a killed run may end in half a line
        if value is not None:
            values.append(float(value))
    return values
