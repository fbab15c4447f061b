import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from espressivo.training.statistics import (
    compare,
    confusion_matrix,
    fit_temperature,
    intervals,
    score,
    softmax,
    to_dict,
)
from espressivo.training.sums import by_speaker, scores_of, sums_of


def predictions(seed, n=200, n_speakers=8, skill=1.0):
    """Labels, probabilities and speakers of a made-up corpus."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    speakers = [f"s{i}" for i in rng.integers(0, n_speakers, n)]
    logits = rng.normal(size=(n, 4)) + skill * np.eye(4)[labels]
    return labels, softmax(logits), speakers


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
    assert to_dict(scores)["recall"] == {
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


def test_intervals_hold_the_score_and_are_the_same_for_the_same_seed():
    labels, probabilities, speakers = predictions(1, n=400)
    scores = score(labels, probabilities)

    first = intervals(labels, probabilities, speakers, seed=5)

    for name in ("wa", "ua", "macro_f1", "brier", "log_loss"):
        assert first[name].low < getattr(scores, name) < first[name].high
    assert first == intervals(labels, probabilities, speakers, seed=5)
    assert first != intervals(labels, probabilities, speakers, seed=6)


def test_intervals_equal_scoring_resampled_speakers_one_by_one():
    labels, probabilities, speakers = predictions(2)
    names = sorted(set(speakers))
    rows = {s: np.flatnonzero(np.array(speakers) == s) for s in names}
    draws = np.random.default_rng(0).multinomial(8, [1 / 8] * 8, size=2000)
    uas = []
    for times in draws[:50]:
        chosen = [np.repeat(rows[s], k) for s, k in zip(names, times, strict=True)]
        where = np.concatenate(chosen)
        uas.append(score(labels[where], probabilities[where]).ua)

    sums = by_speaker(sums_of(labels, probabilities), speakers)
    fast = scores_of(draws[:50].astype(float) @ sums, 4)["ua"]
    assert fast == pytest.approx(uas)


def test_speakers_who_differ_widen_the_interval():
    labels = np.tile(np.arange(4), 50)
    speakers = [f"s{i // 20}" for i in range(200)]
    good = np.array([int(s[1:]) % 2 for s in speakers], bool)
    clustered = np.eye(4)[np.where(good, labels, (labels + 1) % 4)]
    spread = np.eye(4)[np.where(np.arange(200) % 8 < 4, labels, (labels + 1) % 4)]

    wide = intervals(labels, clustered, speakers)["wa"]
    narrow = intervals(labels, spread, speakers)["wa"]

    assert wide.high - wide.low > 0.4
    assert narrow.high - narrow.low < 0.2


def test_one_speaker_gives_no_interval():
    labels, probabilities, _ = predictions(0)
    assert intervals(labels, probabilities, ["only"] * len(labels)) == {}
    assert compare(labels, probabilities, probabilities, ["only"] * len(labels)) == {}


def test_predictions_do_not_differ_from_themselves():
    labels, probabilities, speakers = predictions(4)
    same = compare(labels, probabilities, probabilities, speakers)["ua"]
    assert (same.difference, same.interval.low, same.interval.high) == (0, 0, 0)
    assert same.p == 1.0


def test_comparison_turns_sign_when_turned_and_sees_a_real_difference():
    labels, poor, speakers = predictions(7, n=600, skill=0.5)
    _, good, _ = predictions(7, n=600, skill=2.0)

    forth = compare(labels, poor, good, speakers)["ua"]
    back = compare(labels, good, poor, speakers)["ua"]

    assert forth.difference == -back.difference > 0.1
    assert forth.interval.low == pytest.approx(-back.interval.high)
    assert forth.p == back.p < 0.01


@given(seed=st.integers(0, 1000), hot=st.floats(0.2, 8))
def test_temperature_has_the_least_log_loss_and_undoes_a_wrong_scale(seed, hot):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 100)
    logits = rng.normal(size=(100, 4)) + np.eye(4)[labels]

    best = fit_temperature(logits, labels)

    losses = [
        score(labels, softmax(logits, t)).log_loss
        for t in (best, best * 1.02, best / 1.02)
    ]
    assert losses[0] == min(losses)
    assert fit_temperature(logits * hot, labels) == pytest.approx(best * hot, rel=1e-6)


def test_temperature_of_faultless_answers_is_the_lowest():
    assert fit_temperature(np.eye(4) * 5, np.arange(4)) == pytest.approx(0.01)
