"""Fit the temperature of a run, and its threshold for uncertain answers.

A model cannot be calibrated on its own training set, where its accuracy is higher than
on new speakers. So models of the same recipe, each trained without one corpus, predict
that corpus; one temperature is fitted to all those predictions, and one threshold is
chosen on the calibrated probabilities.

Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2;
Geifman and El-Yaniv (2017), Selective classification for deep neural networks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.evaluation import read_predictions
from espressivo.training.scores.metrics import score
from espressivo.training.scores.selective import choose_threshold, risk_coverage
from espressivo.training.scores.temperature import (
    fit_model_temperature,
    softmax,
    to_logits,
    write_temperature,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.training.scores.selective import RiskCoverage

    LogitsAndLabels: TypeAlias = tuple[NDArray[np.float64], NDArray[np.integer[Any]]]

ACCURACY = 0.8
"""Accuracy that the certain answers should have, unless another is wanted."""

COVERAGES = (1.0, 0.75, 0.5, 0.25)
"""Shares of answers for which the accuracy is reported."""

FITTED = "on speakers left out of training, corpus by corpus"
"""What temperature and threshold are fitted to, in words for the model's card."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Calibration and certainty on one set of left-out speakers.

    Temperature and threshold are fitted to the *other* sets, which is what a new corpus
    gets; to this one where it is the only one.

    Attributes:
        predictions: Name of the folder with the predictions, without the parents and
            the ending that all folders share.
        n_utterances: Number of utterances in the folder.
        ece_before: Expected calibration error as predicted.
        ece_after: The error with the temperature.
        threshold: Lowest top probability of a certain answer; None if no threshold
            reaches the accuracy on the other sets.
        coverage: Share of certain answers, 0 to 1; None without a threshold.
        accuracy: Accuracy of the certain answers, 0 to 1; None if there are none.
        accuracy_at: Accuracy of the most confident answers by their share, for each of
            `COVERAGES` (`0.50`: the upper half).
    """

    predictions: str
    n_utterances: int
    ece_before: float
    ece_after: float
    threshold: float | None
    coverage: float | None
    accuracy: float | None
    accuracy_at: dict[str, float]


@dataclass(frozen=True, slots=True)
class FittedCertainty:
    """A threshold for uncertain answers, as `model.json` stores it.

    Attributes:
        threshold: Lowest top probability of a certain answer, 0 to 1.
        accuracy: Accuracy that it was chosen for, 0 to 1.
        coverage: Share of certain answers on the sets that it was chosen on, which have
            equal weight.
        fitted: The data that it was chosen on.
    """

    threshold: float
    accuracy: float
    coverage: float
    fitted: str = FITTED


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted temperature and threshold, and what they do on each left-out set.

    Attributes:
        temperature: Divisor of the logits.
        fitted: The data that it was fitted to.
        certainty: Threshold for uncertain answers; None if none reaches the accuracy.
        left_out: Figures of each set, with the temperature and the threshold of the
            others.
        curves: Risk-coverage curves of the sets in `left_out`, at the temperature of
            the others.
        overall: Risk-coverage curve of all sets with equal weight, at `temperature`.
    """

    temperature: float
    fitted: str
    certainty: FittedCertainty | None
    left_out: tuple[LeftOut, ...]
    curves: tuple[RiskCoverage, ...] = field(repr=False)
    overall: RiskCoverage = field(repr=False)

    def write(self, run: Path) -> None:
        """Write `temperature.json` into a run folder, where export reads it."""
        content = {
            "temperature": self.temperature,
            "fitted": self.fitted,
            "certainty": self.certainty and asdict(self.certainty),
            "left_out": [asdict(part) for part in self.left_out],
        }
        write_temperature(run, content)


def calibrate(folders: Sequence[Path], accuracy: float = ACCURACY) -> Calibration:
    """Fit one temperature and one threshold to predictions on left-out speakers.

    All folders have equal weight, whatever their number of utterances.

    Args:
        folders: Folders written by `espressivo evaluate --out`, at temperature 1.
        accuracy: Accuracy that the certain answers should reach, 0 to 1.

    Raises:
        CorpusError: There is no folder, or one holds no predictions.
    """
    if not folders:
        raise CorpusError(
            "no predictions to fit a temperature to; pass folders that "
            "`espressivo evaluate --out` wrote"
        )
    names = _short_names(folders)
    sets = [_logits(folder) for folder in folders]
    return calibrate_sets(dict(zip(names, sets, strict=True)), accuracy)


def calibrate_sets(
    left_out_sets: Mapping[str, LogitsAndLabels],
    accuracy: float = ACCURACY,
    fitted: str = FITTED,
) -> Calibration:
    """Fit as `calibrate` does, to logits in memory.

    Args:
        left_out_sets: Name of each set of left-out speakers -> logits [N, C] and
            labels [N]; at least one.
        accuracy: Accuracy that the certain answers should reach, 0 to 1.
        fitted: What the sets are, in words for the model's card.
    """
    names, sets = list(left_out_sets), list(left_out_sets.values())
    temperature = _fit(sets)
    overall = _curve(sets, temperature)
    threshold = choose_threshold(overall, accuracy)
    certainty = None
    if threshold is not None:
        coverage, _ = overall.at_threshold(threshold)
        certainty = FittedCertainty(threshold, accuracy, round(coverage, 4), fitted)
    left_out, curves = [], []
    for i, name in enumerate(names):
        # Scored on its own set, a temperature would look better than on new speakers.
        others = [*sets[:i], *sets[i + 1 :]] or sets
        part, curve = _left_out(name, sets[i], others, accuracy)
        left_out.append(part)
        curves.append(curve)
    return Calibration(
        temperature, fitted, certainty, tuple(left_out), tuple(curves), overall
    )


def _left_out(
    name: str, one: LogitsAndLabels, others: Sequence[LogitsAndLabels], accuracy: float
) -> tuple[LeftOut, RiskCoverage]:
    """Return the figures and the curve of a set with what is fitted to others."""
    logits, labels = one
    temperature = _fit(others)
    threshold = choose_threshold(_curve(others, temperature), accuracy)
    curve = _curve([one], temperature)
    covered: float | None = None
    right: float | None = None
    if threshold is not None:
        covered, right = curve.at_threshold(threshold)
    part = LeftOut(
        name,
        len(labels),
        ece_before=score(labels, softmax(logits)).ece,
        ece_after=score(labels, softmax(logits, temperature)).ece,
        threshold=threshold,
        coverage=covered,
        accuracy=right if covered else None,
        accuracy_at={f"{c:.2f}": curve.accuracy_at(c) for c in COVERAGES},
    )
    return part, curve


def _short_names(folders: Sequence[Path]) -> list[str]:
    """Return short names of folders: what follows and precedes their differences.

    Of `no-tess/scores` and `no-nemo/scores` these are `no-tess` and `no-nemo`.
    """
    parts = [folder.absolute().parts for folder in folders]
    if len(set(parts)) < 2:
        return [folder.name for folder in folders]
    while len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    while len({each[:1] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    return ["/".join(each) for each in parts]


def _logits(folder: Path) -> LogitsAndLabels:
    predictions = read_predictions(folder)
    if not predictions.ids:
        raise CorpusError(
            f"{folder}: holds no predictions, since no recording got an answer; leave "
            "it out"
        )
    return to_logits(predictions.probabilities), predictions.labels


def _curve(sets: Sequence[LogitsAndLabels], temperature: float) -> RiskCoverage:
    logits, labels, weights = _joined(sets)
    return risk_coverage(labels, softmax(logits, temperature), weights)


def _fit(sets: Sequence[LogitsAndLabels]) -> float:
    logits, labels, weights = _joined(sets)
    return fit_model_temperature(logits, labels, weights)


def _joined(
    sets: Sequence[LogitsAndLabels],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Return logits, labels and weights 1 / n, so that every set counts the same."""
    return (
        np.concatenate([logits for logits, _ in sets]),
        np.concatenate([labels for _, labels in sets]),
        np.concatenate([np.full(len(labels), 1 / len(labels)) for _, labels in sets]),
    )
