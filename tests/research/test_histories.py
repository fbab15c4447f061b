from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.profiles.histories import (
    HISTORY_KINDS,
    NATURAL,
    HistoryKind,
    draw_order,
    leave_one_out_profiles,
)

LABELS = np.repeat([0, 1, 2, 3], [8, 6, 12, 3])
seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.sampled_from(HISTORY_KINDS))
def test_no_clip_comes_twice_and_only_wanted_emotions_come(seed, kind):
    order = draw_order(kind, LABELS, np.random.default_rng(seed))

    assert len(set(order.tolist())) == len(order)
    assert set(LABELS[order].tolist()) <= set(kind.emotions or range(4))
    if kind.name != "natural":
        wanted = np.isin(LABELS, kind.emotions or range(4))
        assert sorted(order.tolist()) == np.flatnonzero(wanted).tolist()


@given(seeds, st.integers(1, 3))
def test_a_balanced_history_is_balanced_at_every_full_turn(seed, turns):
    order = draw_order(HistoryKind("balanced"), LABELS, np.random.default_rng(seed))

    assert set(Counter(LABELS[order[: 4 * turns]].tolist()).values()) == {turns}


def test_a_natural_history_has_natural_shares():
    labels = np.repeat(np.arange(4), 3000)
    order = draw_order(HistoryKind("natural"), labels, np.random.default_rng(0))
    shares = np.bincount(labels[order]) / len(order)

    np.testing.assert_allclose(shares, NATURAL, atol=0.02)


@pytest.mark.parametrize("kind", HISTORY_KINDS, ids=lambda kind: kind.title)
@given(seed=seeds, size=st.one_of(st.none(), st.integers(0, 40)))
def test_profiles_are_the_means_of_the_first_others(kind, seed, size):
    rng = np.random.default_rng(seed)
    order = draw_order(kind, LABELS, rng)
    features = rng.normal(size=(len(LABELS), 2))

    counts, means = leave_one_out_profiles(
        order, features, size, transductive=kind.transductive
    )

    for clip in range(len(LABELS)):
        others = [i for i in order.tolist() if i != clip]
        if kind.transductive and size != 0:
            n_others = None if size is None else size - 1
            chosen = [clip, *others[:n_others]]
        else:
            chosen = others[:size]
        assert counts[clip, 0] == len(chosen)
        wanted = features[chosen].mean(0) if chosen else np.zeros(2)
        np.testing.assert_allclose(means[clip], wanted, atol=1e-9)
