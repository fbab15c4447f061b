"""Fit the temperature of a run on speakers that models of its recipe never trained on.

A model cannot be calibrated on its own training set, where its accuracy is higher than
on new speakers. So models of the same recipe, each trained without one corpus, predict
that corpus, and one temperature is fitted to all those predictions.

Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.evaluation import read_predictions
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import (
    fit_temperature,
    softmax,
    to_logits,
    write_temperature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Calibration error on one set of left-out speakers.

    Attributes:
        predictions: Name of the folder with the predictions.
        n_utterances: Number of utterances in the folder.
        ece_before: Expected calibration error as predicted.
        ece_after: The error with the temperature fitted to the *other* sets, which is
            what a new corpus gets; with the common temperature when there is no other.
    """

    predictions: str
    n_utterances: int
    ece_before: float
    ece_after: float


@dataclass(frozen=True, slots=True)
class TemperatureCalibration:
    """A fitted temperature, and the calibration error before and after it."""

    temperature: float
    fitted: str
    left_out: tuple[LeftOut, ...]

    def write(self, run: Path) -> None:
        """Write `temperature.json` into a run folder, where export reads it."""
        write_temperature(run, asdict(self))


def calibrate(folders: Sequence[Path]) -> TemperatureCalibration:
    """Fit one temperature to predictions on left-out speakers.

    All folders have equal weight, whatever their number of utterances.

    Args:
        folders: Folders written by `espressivo evaluate --out`, at temperature 1.

    Raises:
        CorpusError: There is no folder, or one holds no predictions.
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
        # Scored on its own set, a temperature would look better than on new speakers.
        others = [*sets[:i], *sets[i + 1 :]]
        elsewhere = _fit(others) if others else temperature
        before = score(labels, softmax(logits)).ece
        after = score(labels, softmax(logits, elsewhere)).ece
        left_out.append(LeftOut(folder.name, len(labels), before, after))
    fitted = "on speakers left out of training, corpus by corpus"
    return TemperatureCalibration(temperature, fitted, tuple(left_out))


def _logits(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    predictions = read_predictions(folder)
    return to_logits(predictions.probabilities), predictions.labels


def _fit(sets: Sequence[tuple[NDArray[np.float64], NDArray[np.intp]]]) -> float:
    return fit_temperature(
        np.concatenate([logits for logits, _ in sets]),
        np.concatenate([labels for _, labels in sets]),
        # Weights 1
        # n, so that a large set does not outvote the others.
        np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in sets]),
    )
