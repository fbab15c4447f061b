import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from espressivo.training.scores.bootstrap import (
    compare,
    holm,
    intervals,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import (
    confusion_matrix,
    score,
    scores_from_sums,
    scores_to_dict,
    utterance_sums,
)
from espressivo.training.scores.pooled import (
    PooledPredictions,
    compare_pooled,
    measures,
    spread,
)
from espressivo.training.scores.temperature import fit_temperature, softmax
from espressivo.types import Emotion


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

    sums = sums_by_speaker(utterance_sums(labels, probabilities), speakers)
    fast = scores_from_sums(draws[:50].astype(float) @ sums, 4)["ua"]
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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_lies_between_no_correction_and_bonferronis(p_values):
    n = len(p_values)
    adjusted = holm(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        assert p <= found <= min(1, n * p)
        # The definition, one hypothesis at a time.
        smaller = sorted(q for q in p_values if q <= p)
        assert found == min(1, max((n - i) * q for i, q in enumerate(smaller)))
    assert min(adjusted) == min(1, n * min(p_values))


@pytest.mark.parametrize(
    ("n_speakers", "least", "most"), [(4, 0.70, 0.88), (10, 0.83, 0.95), (24, 0.87, 1)]
)
def test_intervals_hold_the_truth_nearly_as_often_as_they_say(n_speakers, least, most):
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4), 12 * n_speakers)
    speakers = np.repeat(np.arange(n_speakers), 48)
    held = []
    for _ in range(300):
        skill = rng.normal(0.6, 0.12, n_speakers).clip(0.05, 0.95)
        right = rng.random(len(labels)) < skill[speakers]
        guesses = np.eye(4)[np.where(right, labels, (labels + 1) % 4)]
        ua = intervals(labels, guesses, speakers.astype(str).tolist())["ua"]
        held.append(ua.low <= 0.6 <= ua.high)
    assert least < np.mean(held) < most
