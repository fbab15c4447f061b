import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.training.scores.bootstrap import (
    compare,
    compare_sums,
    ece_interval,
    holm,
    intervals,
    percentile_interval,
    resample_speakers,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import (
    SCALARS,
    score,
    scores_from_sums,
    utterance_sums,
)
from tests.training.synthetic_results import predictions


def test_intervals_hold_the_score_and_are_the_same_for_the_same_seed():
    labels, probabilities, speakers = predictions(1, n=400)
    scores = score(labels, probabilities)

    first = intervals(labels, probabilities, speakers, seed=5)

    for name in SCALARS:
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
    both = compare(labels, probabilities, probabilities, speakers)
    found = {(d.difference, d.interval.low, d.interval.high) for d in both.values()}
    assert found == {(0, 0, 0)}
    assert {d.p for d in both.values()} == {1}


def test_comparison_turns_sign_when_turned_and_sees_a_real_difference():
    labels, poor, speakers = predictions(7, n=600, skill=0.5)
    _, good, _ = predictions(7, n=600, skill=2.0)

    forth = compare(labels, poor, good, speakers)
    back = compare(labels, good, poor, speakers)

    for name in SCALARS:
        there, here = forth[name], back[name]
        assert there.difference == pytest.approx(-here.difference)
        assert there.interval.low == pytest.approx(-here.interval.high)
        assert there.interval.low < there.difference < there.interval.high
        assert there.p == pytest.approx(here.p)
    assert forth["ua"].difference > 0.1
    assert forth["ua"].p < 0.01


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
    names = speakers.astype(str).tolist()
    times = resample_speakers(names, 0)
    held = []
    for _ in range(300):
        skill = rng.normal(0.6, 0.12, n_speakers).clip(0.05, 0.95)
        right = rng.random(len(labels)) < skill[speakers]
        guesses = np.eye(4)[np.where(right, labels, (labels + 1) % 4)]
        sums = sums_by_speaker(utterance_sums(labels, guesses), names)
        ua = percentile_interval(scores_from_sums(times @ sums, 4)["ua"])
        held.append(ua.low <= 0.6 <= ua.high)
    assert least < np.mean(held) < most


def simulated(rng, n_speakers, n_clips, slope, shift):
    """Sums by speaker of clips that are right with a known probability.

    The logit of being right is a line over the logit of the confidence, plus what the
    speaker adds: the model is calibrated but for that if slope is 1 and shift 0.
    """
    top = 0.26 + 0.73 * rng.beta(2, 1.2, (n_speakers, n_clips))
    ease = rng.normal(shift, 0.5, (n_speakers, 1))
    right = rng.random(top.shape) < 1 / (1 + ((1 - top) / top) ** slope * np.exp(-ease))
    rest = np.repeat((1 - top.reshape(-1, 1)) / 3, 3, axis=1)
    rows = utterance_sums(
        np.where(right, 0, 1).ravel(), np.hstack([top.reshape(-1, 1), rest])
    )
    return rows.reshape(n_speakers, n_clips, -1).sum(1)


def true_ece(slope, shift):
    everybody = simulated(np.random.default_rng(1), 2000, 100, slope, shift)
    return scores_from_sums(everybody.sum(0)[None], 4)["ece"][0]


# docs/tables.md has these shares. The last one is low: there are only four speakers.
@pytest.mark.parametrize(
    ("n_speakers", "n_clips", "slope", "shift", "expected"),
    [
        (24, 60, 1, 0, 0.985),
        (24, 60, 0.6, 0, 0.95),
        (24, 60, 1, -0.8, 0.94),
        (24, 12, 1, 0, 0.99),
        (10, 12, 0.6, 0, 0.945),
        (4, 48, 1, 0, 0.93),
        (4, 48, 1, -0.8, 0.8),
    ],
)
def test_intervals_of_ece_hold_the_true_ece(
    n_speakers, n_clips, slope, shift, expected
):
    rng = np.random.default_rng(0)
    truth = true_ece(slope, shift)
    times = resample_speakers([str(i) for i in range(n_speakers)], 0)[:300]
    held = []
    for _ in range(200):
        sums = simulated(rng, n_speakers, n_clips, slope, shift)
        ece = scores_from_sums(sums.sum(0)[None], 4)["ece"][0]
        found = ece_interval(sums, times)
        assert 0 <= found.low <= ece <= found.high
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("slope", "shift", "expected"), [(0.6, 0, 0.93), (1, -0.8, 0.92)]
)
def test_intervals_of_differences_of_ece_hold_the_true_one(slope, shift, expected):
    truth = true_ece(slope, shift) - true_ece(1, 0)
    times = resample_speakers([str(i) for i in range(24)], 0)[:300]
    held = []
    for i in range(100):
        # The same clips, of speakers who are as easy for both.
        a = simulated(np.random.default_rng(i), 24, 60, 1, 0)
        b = simulated(np.random.default_rng(i), 24, 60, slope, shift)
        found = compare_sums(a, b, times, 4)["ece"]
        assert (found.p < 0.05) == (not found.interval.low <= 0 <= found.interval.high)
        held.append(found.interval.low <= truth <= found.interval.high)
    assert np.mean(held) == pytest.approx(expected, abs=0.02)
