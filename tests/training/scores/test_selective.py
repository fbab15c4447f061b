from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.training.scores.metrics import score
from espressivo.training.scores.selective import choose_threshold, risk_coverage


def predictions(seed, n=400, rounded=None):
    """Random probabilities and labels; rounded ones have equal confidences."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in p])
    return labels, p if rounded is None else p.round(rounded)


@given(seed=st.integers(0, 10_000), rounded=st.sampled_from([None, 1, 2]))
def test_the_curve_is_what_thresholds_leave(seed, rounded):
    labels, p = predictions(seed, 60, rounded)
    weights = np.random.default_rng(seed).uniform(0.1, 2, 60)

    curve = risk_coverage(labels, p, weights)

    assert (np.diff(curve.thresholds) < 0).all()
    assert (np.diff(curve.coverage) > 0).all()
    right = p.argmax(1) == labels
    for i, threshold in enumerate(curve.thresholds):
        kept = p.max(1) >= threshold
        coverage = weights[kept].sum() / weights.sum()
        accuracy = np.average(right[kept], weights=weights[kept])
        assert curve.n_answers[i] == kept.sum()
        assert curve.coverage[i] == pytest.approx(coverage)
        assert curve.accuracy[i] == pytest.approx(accuracy)
        assert curve.at_threshold(threshold) == pytest.approx((coverage, accuracy))
    assert curve.coverage[-1] == pytest.approx(1)


def test_answering_everything_is_the_accuracy():
    labels, p = predictions(1)

    curve = risk_coverage(labels, p)

    assert curve.accuracy_at(1.0) == pytest.approx(score(labels, p).wa)
    assert curve.at_threshold(0) == pytest.approx((1, score(labels, p).wa))
    assert curve.at_threshold(1.1)[0] == 0
    assert math.isnan(curve.at_threshold(1.1)[1])


def test_the_area_is_the_mean_risk_by_its_definition():
    labels, p = predictions(2)

    curve = risk_coverage(labels, p)

    # Geifman et al. (2019), eq. 1: the mean of the selective risks of the k most
    # confident, over all k.
    wrong = (p.argmax(1) != labels)[np.argsort(-p.max(1))]
    risks = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    assert curve.area == pytest.approx(risks.mean())


def test_half_of_the_answers_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    p = np.column_stack([confidence, 1 - confidence])
    labels = np.array([0, 1, 0, 1])  # right, wrong, right, wrong

    curve = risk_coverage(labels, p)

    assert [curve.accuracy_at(c) for c in (0.25, 0.5, 0.75, 1)] == pytest.approx(
        [1, 1 / 2, 2 / 3, 1 / 2]
    )
    assert choose_threshold(curve, 0.6, min_answers=1) == 0.601
    assert choose_threshold(curve, 0.6, min_answers=4) is None
    assert choose_threshold(curve, 0.5, min_answers=1) == 0.6


@given(seed=st.integers(0, 10_000), accuracy=st.floats(0.4, 0.95))
def test_the_threshold_is_the_lowest_that_reaches_the_accuracy(seed, accuracy):
    labels, p = predictions(seed)
    curve = risk_coverage(labels, p)

    threshold = choose_threshold(curve, accuracy, min_answers=50)

    right = p.argmax(1) == labels
    for step in range(250, 1000):
        kept = p.max(1) >= step / 1000
        if kept.sum() >= 50 and right[kept].mean() >= accuracy:
            # Lower ones that leave the same answers are as good.
            assert curve.at_threshold(threshold) == curve.at_threshold(step / 1000)
            return
    assert threshold is None


def test_few_lucky_answers_decide_nothing():
    labels, p = predictions(3)
    labels = (p.argmax(1) + np.arange(400)) % 4  # a quarter is right
    p = np.vstack([p, np.tile([0.97, 0.01, 0.01, 0.01], (20, 1))])
    labels = np.append(labels, np.zeros(20, int))  # 20 right ones at the top
    curve = risk_coverage(labels, p)

    assert choose_threshold(curve, 0.8, min_answers=20) is not None
    assert choose_threshold(curve, 0.8) is None


def test_every_corpus_counts_the_same():
    good, bad = predictions(4), predictions(5, 40)
    bad = (bad[0] + 1) % 4, bad[1]
    labels, p = (np.concatenate(pair) for pair in zip(good, bad, strict=True))
    weights = np.concatenate([np.full(400, 1 / 400), np.full(40, 1 / 40)])

    both = risk_coverage(labels, p, weights).accuracy_at(1)

    parts = [score(*each).wa for each in (good, bad)]
    assert both == pytest.approx(np.mean(parts))
