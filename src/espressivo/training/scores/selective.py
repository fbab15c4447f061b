"""Selective classification: a model answers only above a threshold of confidence.

Confidence is the top probability. A higher threshold means fewer answers (coverage)
and, if the model knows what it does not know, fewer wrong ones among them (risk = 1 -
accuracy). Thresholds are only comparable between calibrated probabilities.

Source: El-Yaniv and Wiener (2010), On the foundations of noise-free selective
classification; Geifman and El-Yaniv (2017), Selective classification for deep neural
networks, section 2. Their bound on the true risk is not computed: our threshold reaches
the accuracy on the given predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.training.scores.metrics import Floats, Labels, Probabilities

MIN_ANSWERS = 50
"""Answers that a threshold must leave: the accuracy of fewer is mostly chance."""

_STEP = 0.001  # thresholds are multiples of it


@dataclass(frozen=True, eq=False)  # compared by its arrays
class RiskCoverage:
    """Risk-coverage curve: accuracy of the answers at every threshold.

    Attributes:
        thresholds: Distinct top probabilities of the predictions, descending [K].
        n_answers: Number of predictions at or above each threshold, int [K].
        coverage: Their share of the total weight, 0 to 1, ascending to 1 [K].
        accuracy: Share of their weight that is right, 0 to 1 [K].
    """

    thresholds: Floats
    n_answers: NDArray[np.intp]
    coverage: Floats
    accuracy: Floats

    @property
    def area(self) -> float:
        """Area under the risk-coverage curve (AURC): mean risk over all coverages."""
        widths = np.diff(self.coverage, prepend=0.0)
        return float(((1 - self.accuracy) * widths).sum())

    def at_threshold(self, threshold: float) -> tuple[float, float]:
        """Return coverage and accuracy of the predictions at or above a threshold.

        The accuracy is NaN if there are none.
        """
        n = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        if n == 0:
            return 0.0, float("nan")
        return float(self.coverage[n - 1]), float(self.accuracy[n - 1])

    def accuracy_at(self, coverage: float) -> float:
        """Return the accuracy of the most confident predictions.

        Args:
            coverage: Least share of the weight to answer, above 0 and at most 1.
        """
        # Without the tolerance, rounding errors of the sums would add one more answer.
        at = int(np.searchsorted(self.coverage, coverage - 1e-9))
        return float(self.accuracy[min(at, len(self.accuracy) - 1)])


def risk_coverage(
    labels: Labels, probabilities: Probabilities, weights: Floats | None = None
) -> RiskCoverage:
    """Return the risk-coverage curve of predictions.

    Args:
        labels: int [N], N > 0.
        probabilities: Calibrated probabilities, float [N, C].
        weights: Weight of each prediction, float [N]; equal if None.
    """
    p = np.asarray(probabilities, np.float64)
    weights = np.ones(len(p)) if weights is None else weights
    confidence = p.max(1)
    order = np.argsort(-confidence, kind="stable")
    right = (p.argmax(1) == labels)[order]
    answered = np.cumsum(weights[order])
    correct = np.cumsum(weights[order] * right)
    # A threshold cannot part equal confidences: only the last of them is on the curve.
    last = np.append(np.diff(confidence[order]) != 0, True)
    return RiskCoverage(
        confidence[order][last],
        np.flatnonzero(last) + 1,
        answered[last] / answered[-1],
        correct[last] / answered[last],
    )


def choose_threshold(
    curve: RiskCoverage, accuracy: float, min_answers: int = MIN_ANSWERS
) -> float | None:
    """Return the lowest threshold, to 0.001, whose answers reach an accuracy.

    Args:
        curve: Risk-coverage curve of predictions for data outside the training set.
        accuracy: Accuracy to reach, 0 to 1.
        min_answers: Least number of predictions at or above the threshold.

    Returns:
        None if no threshold reaches it with so many answers.
    """
    steps = np.arange(int(curve.thresholds[-1] / _STEP), round(1 / _STEP)) * _STEP
    steps = np.round(steps, 3)  # as it is returned and written down
    n_above = np.searchsorted(-curve.thresholds, -steps, side="right")
    some = n_above > 0
    at = n_above[some] - 1
    good = (curve.accuracy[at] >= accuracy) & (curve.n_answers[at] >= min_answers)
    if not good.any():
        return None
    return float(steps[some][good][0])
