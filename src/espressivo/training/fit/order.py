"""Dimensions of emotion fitted to the order of emotions, without listeners' ratings.

Anger and happiness are of higher arousal than neutral speech, sadness and calm of
lower; happiness is of higher valence than neutral speech, anger and sadness of lower.
That gives each clip one of three levels. A dimension is the direction of the
discriminant between the highest and the lowest level, and a logistic curve from it to
the expected level: 0 low, 0.5 middle, 1 high. The curve is fitted to corpora that the
direction was not fitted to.

Source: Russell (1980), A circumplex model of affect, for the order; McCullagh (1980),
Regression models for ordinal data, for the levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import TrainingError
from espressivo.training.fit.lda import left_out_logits
from espressivo.training.folds.weights import balanced_weights
from espressivo.types import Dimension, Emotion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.corpora.utterance import Utterance

    _Float = NDArray[np.float64]

LEVELS = {
    Dimension.AROUSAL: {
        Emotion.ANGER: 2,
        Emotion.HAPPINESS: 2,
        Emotion.NEUTRAL: 1,
        Emotion.SADNESS: 0,
    },
    Dimension.VALENCE: {
        Emotion.HAPPINESS: 2,
        Emotion.NEUTRAL: 1,
        Emotion.ANGER: 0,
        Emotion.SADNESS: 0,
    },
}
"""Level of each emotion: 0 low, 1 middle, 2 high."""

MEANINGS = {
    Dimension.AROUSAL: ("sadness, calm", "anger, happiness"),
    Dimension.VALENCE: ("anger, sadness", "happiness"),
}
"""What is low and what is high, for people to read; between them is neutral."""

# Among the four emotions calm speech is neutral; its arousal is lower than that.
_CALM = "calm"


def levels_of(
    utterances: Sequence[Utterance], dimension: Dimension
) -> NDArray[np.intp]:
    """Return the level of each utterance in a dimension, 0 to 2.

    Raises:
        TrainingError: The emotions have no order in the dimension.
    """
    if dimension not in LEVELS:
        raise TrainingError(
            f"{dimension}: emotions have no order in it; fit it to ratings, with "
            f"task = 'dimensions', or name {' or '.join(LEVELS)}"
        )
    levels = [LEVELS[dimension][u.emotion] for u in utterances if u.emotion]
    if dimension is Dimension.AROUSAL:
        calm = [utterance.original == _CALM for utterance in utterances]
        levels = [0 if is_calm else k for k, is_calm in zip(levels, calm, strict=True)]
    return np.array(levels, np.intp)


def fit_order(
    fit: Callable[..., tuple[_Float, _Float]],
    rows: NDArray[np.floating],
    levels: NDArray[np.intp],
    corpora: Sequence[str],
    speakers: Sequence[str],
    *,
    n_clips: int,
) -> tuple[_Float, float]:
    """Return weight [width] and bias whose sigmoid is the expected level, 0 to 1.

    Args:
        fit: Function that fits a classifier of levels, such as `fit_lda`.
        rows: Embeddings [N, width].
        levels: Level of each, [N], 0 to 2; all three occur.
        corpora: Corpus name of each [N].
        speakers: Speaker name of each [N].
        n_clips: Number of rows, the first ones, that are no copies; the curve is
            fitted to them.

    Raises:
        TrainingError: A level has no clip.
    """
    if len(set(levels.tolist())) < len(("low", "middle", "high")):
        raise TrainingError(
            "the order of emotions needs clips that are low, middle and high (anger or "
            "happiness, neutral, sadness); add a corpus that has them"
        )
    weights, biases = fit(rows, levels, corpora)
    left = left_out_logits(fit, rows, levels, corpora, speakers, n_clips=n_clips)
    scores = left.logits[:, -1] - left.logits[:, 0]
    slope, offset = _fit_curve(scores, left.labels, left.corpora)
    direction, shift = weights[-1] - weights[0], float(biases[-1] - biases[0])
    return slope * direction, slope * shift + offset


def _fit_curve(
    scores: _Float, levels: NDArray[np.integer], corpora: Sequence[str]
) -> tuple[float, float]:
    """Return slope and offset of the logistic curve from a score to the expected level.

    Each level of each corpus has equal weight.

    Source: Platt (1999), Probabilistic outputs for support vector machines; Papke and
    Wooldridge (1996), for shares as targets of a logistic regression.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow

    if not len(scores):
        return 1.0, 0.0
    groups = [f"{k}/{corpus}" for k, corpus in zip(levels, corpora, strict=True)]
    weights, shares = balanced_weights(groups), levels / 2
    # A share is two clips in one: high with its weight, and low with the rest.
    twice = np.concatenate([scores, scores])[:, None]
    is_high = np.arange(len(twice)) < len(scores)
    curve = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    parts = np.concatenate([weights * shares, weights * (1 - shares)])
    curve.fit(twice, is_high, sample_weight=parts)
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])
