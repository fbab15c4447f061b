import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from espressivo.training.scores.metrics import (
    confusion_matrix,
    score,
    scores_to_dict,
)
from tests.training.synthetic_results import predictions


@given(seed=st.integers(0, 10_000), n=st.integers(40, 300))
def test_scores_equal_scikit_learns(seed, n):
    labels, probabilities, _ = predictions(seed, n)
    labels[:4] = range(4)  # scikit-learn scores absent classes otherwise
    guesses = probabilities.argmax(1)

    scores = score(labels, probabilities)

    assert scores.wa == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert scores.ua == pytest.approx(metrics.balanced_accuracy_score(labels, guesses))
    f1 = metrics.f1_score(labels, guesses, average=None, zero_division=0)
    assert scores.f1 == pytest.approx(f1)
    assert scores.macro_f1 == pytest.approx(f1.mean())
    recall = metrics.recall_score(labels, guesses, average=None)
    assert scores.recall == pytest.approx(recall)
    assert scores.log_loss == pytest.approx(metrics.log_loss(labels, probabilities))
    assert np.array_equal(
        confusion_matrix(labels, probabilities),
        metrics.confusion_matrix(labels, guesses),
    )


def test_a_class_that_does_not_occur_has_no_recall_and_does_not_count():
    scores = score(np.array([0, 0, 1]), np.eye(4)[[0, 1, 1]])

    assert scores.ua == pytest.approx((1 / 2 + 1) / 2)
    assert np.isnan(scores.recall[2:]).all()
    assert scores_to_dict(scores)["recall"] == {
        "anger": 0.5,
        "happiness": 1.0,
        "neutral": None,
        "sadness": None,
    }


def test_calibration_error_is_the_gap_between_sure_and_right():
    probabilities = np.tile([0.7, 0.1, 0.1, 0.1], (10, 1))
    half_right = np.array([0] * 5 + [1] * 5)

    assert score(half_right, probabilities).ece == pytest.approx(0.2)
    assert score(half_right, np.eye(4)[half_right]).ece == 0.0
    assert score(half_right, np.eye(4)[half_right]).brier == 0.0
    assert score(half_right, np.eye(4)[1 - half_right]).brier == 2.0


def test_calibration_error_is_the_mean_over_bins_one_by_one():
    labels, probabilities, _ = predictions(3)
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for k in range(15):
        within = (sure > k / 15) & (sure <= (k + 1) / 15)
        if within.any():
            gap = abs(sure[within].mean() - right[within].mean())
            expected += within.mean() * gap

    assert score(labels, probabilities).ece == pytest.approx(expected)


def test_utterances_without_an_emotion_score_nothing():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1] * 4, 40)
    labels, some = rng.integers(4, size=40), rng.random(40) < 0.3
    mixed = np.where(some, -1, labels)
    assert score(mixed, p) == score(labels[~some], p[~some])
    np.testing.assert_array_equal(
        confusion_matrix(mixed, p), confusion_matrix(labels[~some], p[~some])
    )
    assert np.isnan(score(np.full(40, -1), p).ua)
