"""The posterior of a voice, against enumeration of all labels, and its limits."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.model.adaptation import (
    AdaptationCard,
    adapt,
    distance,
    infer,
    spread,
)
from espressivo.model.window_statistics import WindowStatistics

N_AXES = 2


def card_of(n_dims=2, n_emotions=3, **changes):
    rng = np.random.default_rng(n_dims)

    def covariance(scale):
        root = rng.normal(size=(n_dims, n_dims))
        return scale * (np.eye(n_dims) + root @ root.T / n_dims)

    card = AdaptationCard(
        means=3 * rng.normal(size=(n_emotions, n_dims)),
        speaker=np.array([covariance(0.5), covariance(0.1)]),
        setting=np.array([covariance(0.6), covariance(0.2)]),
        n_axes=N_AXES,
        distance_limit=3.0,
        spread_limit=4.0,
    )
    return replace(card, **changes)


CARD = card_of()


def voice(place, noise=0.0):
    return np.array([*place, noise, 0.0, 0.0])


def statistics_of(places, noise=0.0):
    places = np.asarray(places, np.float64)
    found = WindowStatistics.empty(places.shape[1], N_AXES)
    for place in places:
        found = found.with_window(voice(place, noise), 16_000)
    return found


def drawn(card, n, seed=0, offset=0.0):
    """Windows [n, D] of a voice, and their emotions [n]."""
    rng = np.random.default_rng(seed)
    emotions = rng.integers(len(card.means), size=n)
    rows = card.means[emotions] + offset + rng.normal(size=(n, card.n_dims))
    return np.clip(rows, -7.9, 7.9), emotions


def assert_same(a, b, atol=1e-9):
    np.testing.assert_allclose(a.shares, b.shares, atol=atol)
    np.testing.assert_allclose(a.means, b.means, atol=atol)
    np.testing.assert_allclose(a.covariances, b.covariances, atol=atol)
    assert a.weight == pytest.approx(b.weight)


# Windows in one dimension, each in a cell of its own.
ROWS = np.array([-1.4, 0.3, 2.2])
LINE = card_of(
    1,
    2,
    means=np.array([[-1.0], [1.5]]),
    discount=1.0,
    most=100.0,
)


def exact(chosen, n_rows):
    """Log evidence and posterior mean of the means, by all labels of the windows."""
    (offset, own), (room, tint) = LINE.speaker[:, 0, 0], LINE.setting[:, 0, 0]
    prior = np.full((2, 2), offset + room) + (own + tint) * np.eye(2)
    rows, total, moved = ROWS[:n_rows], 0.0, np.zeros(2)
    for labels in itertools.product(chosen, repeat=n_rows):
        counts = [labels.count(k) for k in chosen]
        c = LINE.concentration
        log_p = math.lgamma(c * len(chosen)) - math.lgamma(c * len(chosen) + n_rows)
        log_p += sum(math.lgamma(c + m) - math.lgamma(c) for m in counts)
        picks = list(labels)
        covariance = np.eye(n_rows) + prior[np.ix_(picks, picks)]
        apart = rows - LINE.means[picks, 0]
        solved = np.linalg.solve(covariance, apart)
        log_p -= 0.5 * (
            apart @ solved + np.linalg.slogdet(2 * np.pi * covariance).logabsdet
        )
        total += math.exp(log_p)
        moved += math.exp(log_p) * (LINE.means[:, 0] + prior[:, picks] @ solved)
    return math.log(total), moved / total


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_sets_of_one_emotion_are_exact(n_rows):
    found = infer(LINE, statistics_of(ROWS[:n_rows, None]))

    (first, m0), (second, m1) = exact([0], n_rows), exact([1], n_rows)
    assert math.log(found.shares[1] / found.shares[0]) == pytest.approx(second - first)
    np.testing.assert_allclose(found.means[0, :, 0], m0)
    np.testing.assert_allclose(found.means[1, :, 0], m1)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_the_bound_of_several_emotions_is_below_the_evidence_and_near(n_rows):
    found = infer(LINE, statistics_of(ROWS[:n_rows, None]))

    one, (both, means) = exact([0], n_rows)[0], exact([0, 1], n_rows)
    # Prior odds: 1/2 for each set of one emotion, `odds` for all emotions.
    bound = math.log(found.shares[2] / found.shares[0] / (2 * LINE.odds)) + one
    assert both - 0.6 < bound <= both
    np.testing.assert_allclose(found.means[2, :, 0], means, atol=0.35)


def test_no_history_is_the_plain_model():
    empty = WindowStatistics.empty(2, N_AXES)
    plain = np.random.default_rng(0).dirichlet(np.ones(3), 5).astype(np.float32)

    for nothing in (None, empty, statistics_of([[1.0, 2.0]], noise=1.0)):
        assert infer(CARD, nothing) is None
        assert infer(CARD, nothing, nothing) is None
    assert adapt(CARD, None, plain, np.zeros((5, 5), np.float32)) is plain


def test_of_many_windows_the_means_are_those_of_their_emotions():
    card = card_of(means=np.array([[4.0, 4.0], [-4.0, 4.0], [0.0, -4.0]]))
    card = replace(card, discount=1.0, most=1e9)
    rows, emotions = drawn(card, 1500, offset=np.array([0.9, -0.6]))

    found = infer(card, statistics_of(rows))

    wanted = np.array([rows[emotions == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(found.collapsed()[0], wanted, atol=0.05)
    assert found.shares[-1] > 0.99
    np.testing.assert_allclose(found.offset, [0.9, -0.6], atol=0.15)
    assert found.deviation < 0.1 * card.prior_deviation


@given(st.lists(st.integers(-2, 2), min_size=2, max_size=2), st.integers(0, 5))
def test_windows_and_means_that_move_together_move_the_answer(shift, seed):
    # By whole cells, or other windows would share one.
    rows = np.clip(drawn(CARD, 12, seed)[0], -5, 5)
    here = infer(CARD, statistics_of(rows))

    moved = infer(
        replace(CARD, means=CARD.means + shift), statistics_of(rows + np.array(shift))
    )

    np.testing.assert_allclose(moved.means, here.means + shift, atol=1e-8)
    np.testing.assert_allclose(moved.shares, here.shares, atol=1e-8)
    np.testing.assert_allclose(moved.offset, here.offset, atol=1e-8)


def test_windows_that_move_alone_move_the_offset():
    card = replace(CARD, discount=1.0, most=1000.0)
    rows = np.clip(drawn(card, 60)[0], -5, 5)

    here, there = (
        infer(card, statistics_of(rows + np.array([s, 0.0]))) for s in (0.0, 1.0)
    )

    apart = there.offset - here.offset
    assert 0.6 < apart[0] < 1.2
    assert abs(apart[1]) < 0.3


@given(st.permutations(range(12)))
def test_the_order_of_windows_changes_nothing(order):
    rows = drawn(CARD, 12)[0]

    a, b = (infer(CARD, statistics_of(rows[list(o)])) for o in (range(12), order))

    assert_same(a, b)


def test_sound_without_speech_changes_nothing():
    rows = drawn(CARD, 6)[0]
    speech = statistics_of(rows)
    both = speech.merged(statistics_of(5 * np.ones((4, 2)), noise=1.0))

    assert both.n_windows == 10
    assert_same(infer(CARD, speech), infer(CARD, both))


def test_a_setting_is_what_its_speakers_share():
    rng = np.random.default_rng(1)
    card = replace(CARD, discount=1.0, most=1000.0)
    shared = np.array([1.2, -0.8])
    setting = WindowStatistics.empty(2, N_AXES)
    for seed in range(200):
        own = rng.multivariate_normal([0, 0], card.speaker[0])
        rows = drawn(card, 3, seed, shared + own)[0]
        setting = setting.merged(statistics_of(rows).as_one())

    found = infer(card, None, setting)

    np.testing.assert_allclose(found.offset, shared, atol=0.35)
    # The next speaker differs, however much is known of the setting.
    assert found.deviation**2 > card.variance(card.speaker)
    assert found.deviation < card.prior_deviation
    speaker = statistics_of(drawn(card, 8, 999, shared)[0])
    both = infer(card, speaker, setting)
    assert both.deviation < found.deviation
    assert both.deviation < infer(card, speaker).deviation
    assert both.weight == pytest.approx(found.weight + speaker.weight)


def test_one_emotion_alone_does_not_move_the_others_there():
    """A history of nothing but one emotion is not taken for four, all of them there."""
    card = card_of(means=np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 5.0]]))
    rng = np.random.default_rng(0)
    rows = card.means[0] + 0.8 * rng.normal(size=(20, 2))

    found = infer(card, statistics_of(rows))

    (first, *others), _ = found.collapsed()
    assert np.linalg.norm(first - card.means[0]) < 1
    for mean, origin in zip(others, card.means[1:], strict=True):
        assert np.linalg.norm(mean - origin) < 1


def test_the_weight_of_a_history_is_limited():
    few, many = (infer(CARD, statistics_of(drawn(CARD, n)[0])) for n in (4, 400))

    assert few.weight == pytest.approx(4 * CARD.discount)
    assert many.weight == pytest.approx(CARD.most)


def test_a_longer_history_is_surer():
    found = [infer(CARD, statistics_of(drawn(CARD, n)[0])) for n in (1, 5, 20)]

    deviations = [each.deviation for each in found]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] < CARD.prior_deviation


@pytest.mark.parametrize("size", [1e-30, 50.0, 1e6, 1e18])
def test_extreme_windows_give_finite_numbers(size):
    rows = size * np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    plain = np.array([[1, 0, 0], [0, 0, 1], [0.2, 0.3, 0.5]], np.float32)

    found = infer(CARD, statistics_of(rows), statistics_of(-rows).as_one())
    adapted = adapt(
        CARD, found, plain, np.array([voice(r) for r in rows]).astype(np.float32)
    )

    for values in (found.shares, found.means, found.covariances, adapted):
        assert np.isfinite(values).all()
    np.testing.assert_allclose(adapted.sum(1), 1, atol=1e-6)


def test_adapted_probabilities_do_not_depend_on_the_batch():
    found = infer(CARD, statistics_of(drawn(CARD, 10)[0]))
    rows = drawn(CARD, 7, 1)[0]
    voices = np.array([voice(r, 0.1) for r in rows], np.float32)
    plain = np.random.default_rng(0).dirichlet(np.ones(3), 7).astype(np.float32)

    whole = adapt(CARD, found, plain, voices)

    one = [adapt(CARD, found, plain[i, None], voices[i, None])[0] for i in range(7)]
    np.testing.assert_allclose(whole, one, atol=1e-6)


def test_a_window_without_speech_does_not_become_more_certain():
    found = infer(CARD, statistics_of(drawn(CARD, 20)[0]))
    plain = np.random.default_rng(0).dirichlet(np.ones(3), 9).astype(np.float32)
    rows = drawn(CARD, 9, 1)[0]

    voices = np.array([voice(r, 1.0) for r in rows], np.float32)
    adapted = adapt(CARD, found, plain, voices)

    assert (adapted.max(1) <= plain.max(1) + 1e-6).all()
    assert (adapted.argmax(1) == plain.argmax(1)).all()


def test_distances_and_spreads_are_of_the_axes_between_speakers():
    rng = np.random.default_rng(0)

    def heard(centre, n):
        found = WindowStatistics.empty(2, N_AXES)
        for axes in centre + rng.normal(size=(n, N_AXES)):
            found = found.with_window(np.array([0, 0, 0, *axes]), 16_000)
        return found

    me, you = heard(0.0, 400), heard(5.0, 400)

    apart = [distance(heard(0.0, 1), me) for _ in range(400)]
    assert np.mean(apart) == pytest.approx(1, abs=0.15)
    assert distance(heard(5.0, 1), me) > 5
    assert spread(me) == pytest.approx(1, abs=0.3)
    assert spread(me.merged(you)) > 5


def test_a_card_is_read_as_it_was_written():
    entry = json.loads(json.dumps(CARD.to_dict()))

    assert AdaptationCard.from_dict(entry).to_dict() == CARD.to_dict()
    assert CARD.n_columns == 2 + 1 + N_AXES


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"means": [1.0]}, ValueError),
        ({"means": [[math.nan, 0.0]] * 3}, ValueError),
        ({"n_axes": 0}, ValueError),
        ({"speaker": [[[1.0, 0.0], [0.0, 1.0]]]}, ValueError),
        ({"setting": [[[1.0, 0.0], [0.0, -1.0]]] * 2}, ValueError),
        ({"speaker": [[[1.0, 0.5], [0.0, 1.0]]] * 2}, ValueError),
        ({"patience": 0.0}, ValueError),
        ({"discount": "much"}, ValueError),
        ({"discount": 1.5}, ValueError),
        ({"distance_limit": math.nan}, ValueError),
        ({"concentration": math.inf}, ValueError),
        ({"n_axes": 3.5}, ValueError),
        ({"means": [[1e300, 0.0]] * 3}, ValueError),
        ({"speaker": [[[math.inf, 0.0], [0.0, 1.0]]] * 2}, ValueError),
        ({"odds": None}, TypeError),
    ],
)
def test_a_card_that_cannot_be_is_refused(changes, error):
    with pytest.raises(error):
        AdaptationCard.from_dict(CARD.to_dict() | changes)


def test_an_incomplete_card_is_refused():
    entry = CARD.to_dict()
    del entry["spread_limit"]

    with pytest.raises(KeyError):
        AdaptationCard.from_dict(entry)
