from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from espressivo.errors import TrainingError
from espressivo.training.corpora import Utterance
from espressivo.training.fit.lda import fit_lda
from espressivo.training.fit.order import fit_order, levels_of
from espressivo.types import Dimension, Emotion

WIDTH, PER_LEVEL = 10, 40
UP = np.eye(WIDTH)[0]  # direction in which the levels lie


def utterance(emotion, original=""):
    return Utterance(
        id="c/1",
        path=Path("1.wav"),
        speaker="c/1",
        session="c/1",
        emotion=emotion,
        corpus="c",
        original=original,
    )


def corpora_of(n_corpora, seed, step=2.0):
    """Clips of made-up corpora whose levels lie `step` apart: rows, levels, corpora."""
    rng = np.random.default_rng(seed)
    rows, corpora = [], []
    levels = np.repeat(np.arange(3), PER_LEVEL)
    for c in range(n_corpora):
        offset = 0.5 * rng.normal(size=WIDTH)
        rows.append(
            rng.normal(size=(len(levels), WIDTH)) + offset + step * np.outer(levels, UP)
        )
        corpora += [f"c{c}"] * len(levels)
    return np.concatenate(rows), np.tile(levels, n_corpora), corpora


def expected_levels(rows, weight, bias):
    return 1 / (1 + np.exp(-(rows @ weight + bias)))


def fitted(rows, levels, corpora):
    lda = partial(fit_lda, interaction=1.0, ridge=0.3)
    return fit_order(lda, rows, levels, corpora, corpora, n_clips=len(rows))


def test_the_order_of_emotions():
    emotions = [utterance(emotion) for emotion in Emotion]
    assert levels_of(emotions, Dimension.AROUSAL).tolist() == [2, 2, 1, 0]
    assert levels_of(emotions, Dimension.VALENCE).tolist() == [0, 2, 1, 0]

    calm = [utterance(Emotion.NEUTRAL, "calm"), utterance(Emotion.NEUTRAL, "neutral")]
    assert levels_of(calm, Dimension.AROUSAL).tolist() == [0, 1]
    assert levels_of(calm, Dimension.VALENCE).tolist() == [1, 1]
    with pytest.raises(TrainingError, match="fit it to ratings"):
        levels_of(emotions, Dimension.DOMINANCE)


def test_new_corpora_are_ranked_and_the_expected_level_is_calibrated():
    weight, bias = fitted(*corpora_of(6, seed=1))
    rows, levels, _ = corpora_of(40, seed=2)
    found = expected_levels(rows, weight, bias)

    ranks = rankdata(found)
    high, low = ranks[levels == 2], ranks[levels == 0]
    assert high.mean() > ranks[levels == 1].mean() > low.mean()
    # Of clips with nearly the same value the mean level is that value.
    for bottom in np.arange(0, 1, 0.2):
        inside = (found >= bottom) & (found < bottom + 0.2)
        assert abs(found[inside].mean() - levels[inside].mean() / 2) < 0.08


def test_what_cannot_be_told_is_in_the_middle():
    rows, levels, corpora = corpora_of(6, seed=1, step=0.0)
    weight, bias = fitted(rows, levels, corpora)

    assert np.abs(expected_levels(rows, weight, bias) - 0.5).max() < 0.2


def test_a_missing_level_is_named():
    rows, levels, corpora = corpora_of(3, seed=1)
    with pytest.raises(TrainingError, match="low, middle and high"):
        fitted(rows[levels > 0], levels[levels > 0], np.array(corpora)[levels > 0])
