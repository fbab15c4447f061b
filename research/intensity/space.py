"""The log-odds of the four emotions as a space with an arousal and a valence axis.

Logits of a linear discriminant are affine in its embedding, so that their differences,
the log-odds between the emotions, are coordinates of the three-dimensional space in
which it decides. Here that space is whitened, so that a distance of 1 is one standard
deviation within a class, and turned so that its first axis is arousal.

Source: Russell (1980), A circumplex model of affect, J. Pers. Soc. Psychol. 39(6), for
the two axes: anger and happiness are active, sadness is not; happiness is pleasant,
anger and sadness are not. Hatch et al. (2006) for whitening by the covariance within
classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.corpora.ravdess import CALM
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats, Probabilities

AXES = ("arousal", "valence", "rest")
"""Axes of a space; the last is perpendicular to both, with neutral on the side of +."""

AROUSAL = np.array([0.5, 0.5, -0.5, -0.5])
"""Weights of the class means: anger and happiness minus neutral and sadness."""

VALENCE = np.array([-0.5, 1.0, 0.0, -0.5])
"""Weights of the class means: happiness minus anger and sadness. Neutral is no part of
it, since it lies between the pleasant and the unpleasant."""

VALENCE_OF_HALVES = np.array([-0.5, 0.5, 0.5, -0.5])
"""Happiness and neutral minus anger and sadness: where studies across corpora map
categories to halves of the axes, neutral counts as positive (Schuller et al. 2010)."""

# Orthonormal columns without the direction in which all four logits are raised alike.
_BASIS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2
_NEUTRAL = list(Emotion).index(Emotion.NEUTRAL)
_LEAST = 1e-30  # keeps the logarithm of a float32 probability of 0 finite


@dataclass(frozen=True, slots=True, eq=False)
class AffectSpace:
    """A whitened space of log-odds, with axes that some corpora define.

    Attributes:
        projection: float64 [4, 3], from log-odds to coordinates along the axes.
        means: Class means of these corpora, every corpus with equal weight [4, 3].
        cosine: Cosine between the two contrasts of class means, before the second axis
            is made perpendicular to the first.
    """

    projection: Floats
    means: Floats
    cosine: float

    def place(self, probabilities: Probabilities) -> Floats:
        """Return the coordinates [N, 3] of predictions [N, 4]."""
        placed: Floats = log_odds(probabilities) @ self.projection
        return placed


def log_odds(probabilities: Probabilities) -> Floats:
    """Return log probabilities [N, 4] minus their mean over the emotions.

    Differences between columns are the log-odds between two emotions.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), _LEAST))
    centred: Floats = logits - logits.mean(1, keepdims=True)
    return centred


def fit_space(
    others: Sequence[Evaluation],
    first: NDArray[np.float64] = AROUSAL,
    second: NDArray[np.float64] = VALENCE,
) -> AffectSpace:
    """Return the space that labelled corpora define.

    Every corpus and class counts alike. Clips labelled calm are left out.

    Args:
        others: Predictions for the corpora, none of them the one that is measured.
        first: Weights [4] of the class means whose sum is the first axis.
        second: The same for the second axis, of which the part perpendicular to the
            first is taken.

    Raises:
        CorpusError: There is no corpus, or one lacks an emotion.
    """
    if not others:
        raise CorpusError("axes need corpora beside the measured one; pass more cases")
    means, covariances = zip(*map(_moments, others), strict=True)
    values, vectors = np.linalg.eigh(np.mean(covariances, axis=0))
    whiten = _BASIS @ vectors / np.sqrt(values)  # [4, 3]
    classes = np.mean(means, axis=0) @ whiten
    a, b = first @ classes, second @ classes
    along = a / np.linalg.norm(a)
    across = b - (b @ along) * along
    across /= np.linalg.norm(across)
    rest = np.cross(along, across)
    rest *= np.sign(rest @ (classes[_NEUTRAL] - classes.mean(0)))
    axes = np.stack([along, across, rest], 1)
    cosine = float(b @ along / np.linalg.norm(b))
    return AffectSpace(whiten @ axes, classes @ axes, cosine)


def without_calm(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without clips that are labelled calm."""
    return evaluation.without(CALM) or evaluation


def _moments(evaluation: Evaluation) -> tuple[Floats, Floats]:
    """Return the class means [4, 4] and mean covariance [3, 3] within a class."""
    kept = without_calm(evaluation)
    rows, labels = log_odds(kept.probabilities), kept.labels
    if absent := [e for k, e in enumerate(Emotion) if not (labels == k).any()]:
        corpora = ", ".join(sorted({u.corpus for u in kept.utterances})) or "a corpus"
        raise CorpusError(f"{corpora}: holds no {absent[0]}; pass all four emotions")
    parts = [rows[labels == k] for k in range(len(Emotion))]
    means = np.stack([part.mean(0) for part in parts])
    within = np.mean([np.cov((part @ _BASIS).T, bias=True) for part in parts], axis=0)
    return means, within
