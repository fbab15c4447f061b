import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.training.scores.bootstrap import (
    compare,
    holm,
    intervals,
    sums_by_speaker,
)
from espressivo.training.scores.metrics import (
    score,
    scores_from_sums,
    utterance_sums,
)
from tests.training.synthetic_results import predictions


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
