"""Fit the temperature of a run on speakers that its like has not heard.

A model cannot be calibrated on what it was trained on: there it is right more often
than anywhere else. So models of the same recipe, each trained without one corpus,
answer for that corpus, and one temperature is fitted to all those answers.

Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.evaluation import read_predictions
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import fit_temperature, softmax, to_logits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How far off the probabilities on one set of left-out speakers are.

    Attributes:
        predictions: The folder's name.
        n_utterances: In it.
        ece_before: Expected calibration error as predicted.
        ece_after: With the temperature fitted to the *other* sets, which is what a new
            corpus gets; with the common one when there is no other.
    """

    predictions: str
    n_utterances: int
    ece_before: float
    ece_after: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and what it was fitted to."""

    temperature: float
    fitted: str
    left_out: tuple[LeftOut, ...]

    def write(self, run: Path) -> None:
        """Write `temperature.json` into a run, where export looks for it."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        (run / "temperature.json").write_text(text, "utf-8")


def calibrate(folders: Sequence[Path]) -> Calibration:
    """Fit one temperature to predictions on left-out speakers.

    Every folder counts the same, however many utterances it has.

    Args:
        folders: Written by `espressivo evaluate --out`, at temperature 1.

    Raises:
        CorpusError: There is none, or one holds no predictions.
    """
    if not folders:
        raise CorpusError(
            "no predictions to fit a temperature to; pass folders that "
            "`espressivo evaluate --out` wrote"
        )
    sets = [_logits(folder) for folder in folders]
    temperature = _fit(sets)
    left_out = []
    for i, (folder, (logits, labels)) in enumerate(zip(folders, sets, strict=True)):
        others = [*sets[:i], *sets[i + 1 :]]
        elsewhere = _fit(others) if others else temperature
        before = score(labels, softmax(logits)).ece
        after = score(labels, softmax(logits, elsewhere)).ece
        left_out.append(LeftOut(folder.name, len(labels), before, after))
    fitted = "on speakers left out of training, corpus by corpus"
    return Calibration(temperature, fitted, tuple(left_out))


def _logits(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    predictions = read_predictions(folder)
    return to_logits(predictions.probabilities), predictions.labels


def _fit(sets: Sequence[tuple[NDArray[np.float64], NDArray[np.intp]]]) -> float:
    return fit_temperature(
        np.concatenate([logits for logits, _ in sets]),
        np.concatenate([labels for _, labels in sets]),
        np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in sets]),
    )
