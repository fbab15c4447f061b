import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from espressivo.training.scores.bootstrap import (
    compare,
    intervals,
)
from espressivo.training.scores.metrics import (
    confusion_matrix,
    score,
)
from espressivo.training.scores.pooled import (
    PooledPredictions,
    compare_pooled,
    measures,
    spread,
)
from espressivo.training.scores.temperature import softmax
from espressivo.types import Emotion
from tests.training.synthetic_results import predictions


def three_runs(seed=0):
    """Three runs on the same utterances, one row a run and utterance, shuffled."""
    labels, _, speakers = predictions(seed)
    runs = [
        softmax(
            np.random.default_rng([seed, n]).normal(size=(200, 4)) + np.eye(4)[labels]
        )
        for n in range(3)
    ]
    order = np.random.default_rng(seed).permutation(600)
    pool = PooledPredictions(
        np.tile(labels, 3)[order],
        np.concatenate(runs)[order],
        np.tile(speakers, 3)[order].tolist(),
        np.full(600, 1 / 3),
    )
    return labels, runs, speakers, pool


def test_a_pool_of_one_run_is_that_run():
    labels, probabilities, speakers = predictions(1)
    pool = PooledPredictions(labels, probabilities, speakers)
    found = intervals(labels, probabilities, speakers)

    assert pool.scores == score(labels, probabilities)
    assert {name: pool.intervals()[name] for name in found} == found
    assert np.array_equal(pool.confusion, confusion_matrix(labels, probabilities))


def test_a_pool_scores_the_mean_of_its_runs_not_an_ensemble():
    labels, runs, _, pool = three_runs()
    each = [score(labels, run) for run in runs]

    for name in ("wa", "ua", "brier", "log_loss"):
        mean = np.mean([getattr(scores, name) for scores in each])
        assert getattr(pool.scores, name) == pytest.approx(mean)
    assert pool.scores.recall == pytest.approx(
        np.mean([s.recall for s in each], axis=0)
    )
    assert pool.scores.ua != pytest.approx(score(labels, np.mean(runs, axis=0)).ua)
    assert pool.confusion.sum() == pytest.approx(200)
    guesses = np.concatenate([run.argmax(1) for run in runs])
    f1 = metrics.f1_score(np.tile(labels, 3), guesses, average="macro")
    assert pool.scores.macro_f1 == pytest.approx(f1)


def test_intervals_of_a_pool_equal_resampling_speakers_and_scoring_each_run():
    labels, runs, speakers, pool = three_runs(2)
    rows = {s: np.flatnonzero(np.array(speakers) == s) for s in set(speakers)}
    names = sorted(rows)
    uas = []
    for times in np.random.default_rng(0).multinomial(8, [1 / 8] * 8, size=2000):
        chosen = [np.repeat(rows[s], k) for s, k in zip(names, times, strict=True)]
        at = np.concatenate(chosen)
        recalls = [
            [(run[at].argmax(1) == c)[labels[at] == c].mean() for c in range(4)]
            for run in runs
        ]
        uas.append(np.mean(recalls))

    found = pool.intervals()["ua"]

    assert (found.low, found.high) == pytest.approx(np.percentile(uas, [2.5, 97.5]))


def test_a_run_given_twice_counts_once():
    labels, probabilities, speakers = predictions(5)
    once = PooledPredictions(labels, probabilities, speakers)
    twice = PooledPredictions(
        np.tile(labels, 2),
        np.tile(probabilities, (2, 1)),
        speakers * 2,
        np.full(2 * len(labels), 0.5),
    )

    assert measures(twice.scores) == pytest.approx(measures(once.scores))
    for name, interval in twice.intervals().items():
        assert interval.low == pytest.approx(once.intervals()[name].low)
    same = compare_pooled(once, twice)["ua"]
    assert same.difference == pytest.approx(0, abs=1e-12)
    assert same.p == 1


def test_comparing_pools_of_one_run_is_comparing_the_runs():
    labels, poor, speakers = predictions(7, skill=0.5)
    _, good, _ = predictions(7, skill=1.0)

    pools = [PooledPredictions(labels, p, speakers) for p in (poor, good)]
    assert compare_pooled(*pools) == compare(labels, poor, good, speakers)
    with pytest.raises(ValueError, match="different speakers"):
        compare_pooled(
            pools[0], PooledPredictions(labels, good, ["one", *speakers[1:]])
        )


def test_reliability_adds_up_to_the_calibration_error():
    labels, probabilities, speakers = predictions(8)
    pool = PooledPredictions(labels, probabilities, speakers)

    bins = pool.reliability()

    some = bins.n > 0
    gaps = np.abs(bins.confidence - bins.right)[some]
    assert (bins.n[some] * gaps).sum() / 200 == pytest.approx(pool.scores.ece)
    assert bins.n.sum() == 200
    assert np.isnan(bins.right[~some]).all()
    assert (bins.low[some] <= bins.right[some]).all()
    assert (bins.right[some] <= bins.high[some]).all()


def test_measures_name_the_classes():
    labels, probabilities, _ = predictions(9)
    found = measures(score(labels, probabilities))
    recall = metrics.recall_score(labels, probabilities.argmax(1), average=None)
    assert [found[f"recall_{e}"] for e in Emotion] == pytest.approx(recall)


def test_a_class_that_never_occurs_has_no_interval():
    labels = np.array([0, 1, 0, 1])
    found = PooledPredictions(
        labels, np.eye(4)[labels], ["a", "a", "b", "b"]
    ).intervals()
    assert np.isnan(found["recall_sadness"].low)
    assert found["recall_anger"].low == 1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_spread_is_numpys_with_divisor_n_less_1(values):
    found = spread([*values, float("nan")])
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_spread_of_one_value_has_no_deviation_and_of_none_no_mean():
    assert spread([0.5]).mean == 0.5
    assert np.isnan(spread([0.5]).sd)
    assert np.isnan(spread([]).mean)
