"""Statistics of windows: they merge in any order, and are those of one pass."""

from __future__ import annotations

from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espressivo.model.window_statistics import WindowStatistics

N_DIMS, N_AXES = 2, 3
EMPTY = WindowStatistics.empty(N_DIMS, N_AXES)

finite = st.floats(-20, 20, width=32)
voices = st.tuples(
    *[finite] * N_DIMS, st.sampled_from([0.0, 0.25, 1.0]), *[finite] * N_AXES
)
windows = st.lists(voices, max_size=12)


def statistics_of(rows, n_samples=100):
    found = EMPTY
    for row in rows:
        found = found.with_window(np.array(row, np.float64), n_samples)
    return found


def assert_same(a, b):
    assert (a.n_windows, a.n_recordings, a.n_samples) == (
        b.n_windows,
        b.n_recordings,
        b.n_samples,
    )
    np.testing.assert_array_equal(a.cells, b.cells)
    for name in ("weights", "sums", "mean", "scatter"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-8)


@given(windows)
def test_they_are_those_of_one_pass(rows):
    found = statistics_of(rows)

    table = np.array(rows, np.float64).reshape(-1, N_DIMS + 1 + N_AXES)
    places, weights = table[:, :N_DIMS], 1 - table[:, N_DIMS]
    axes = table[:, N_DIMS + 1 :]
    assert found.n_windows == len(rows)
    assert found.n_samples == 100 * len(rows)
    np.testing.assert_allclose(found.weight, weights.sum())
    np.testing.assert_allclose(
        found.sums.sum(0), (places * weights[:, None]).sum(0), atol=1e-9
    )
    if len(rows):
        np.testing.assert_allclose(found.mean, axes.mean(0), atol=1e-9)
        apart = axes - axes.mean(0)
        np.testing.assert_allclose(found.scatter, apart.T @ apart, atol=1e-8)
    for cell, weight, total in zip(found.cells, found.weights, found.sums, strict=True):
        inside = (np.clip(np.floor(places), -8, 7) == cell).all(1)
        np.testing.assert_allclose(weight, weights[inside].sum())
        np.testing.assert_allclose(
            total, (places * weights[:, None])[inside].sum(0), atol=1e-9
        )


@given(windows, st.randoms())
def test_the_order_of_windows_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))

    assert_same(statistics_of(rows), statistics_of(shuffled))


@given(st.lists(windows, max_size=4))
def test_merging_equals_one_pass_however_it_is_grouped(groups):
    whole = statistics_of([row for rows in groups for row in rows])
    parts = [statistics_of(rows) for rows in groups]

    left = reduce(WindowStatistics.merged, parts, EMPTY)
    right = reduce(lambda a, b: b.merged(a), reversed(parts), EMPTY)

    assert_same(left, whole)
    assert_same(right, whole)


@given(windows)
def test_nothing_added_changes_nothing(rows):
    found = statistics_of(rows)

    assert_same(found.merged(EMPTY), found)
    assert_same(EMPTY.merged(found), found)


@given(windows)
def test_as_one_a_recording_weighs_at_most_one_window(rows):
    found = statistics_of(rows)
    one = found.as_one()

    assert one.weight <= 1 + 1e-9
    assert (one.n_windows, one.n_samples) == (found.n_windows, found.n_samples)
    if found.weight:
        np.testing.assert_allclose(
            one.sums.sum(0) / one.weight, found.sums.sum(0) / found.weight, atol=1e-8
        )


def test_speech_that_is_surely_none_has_no_negative_weight():
    row = np.array([0.0, 0.0, np.float32(1.0000001), 0.0, 0.0, 0.0])

    assert statistics_of([row]).weight == 0
