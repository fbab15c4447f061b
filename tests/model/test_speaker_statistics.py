from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from espressivo.model.speaker_statistics import (
    SpeakerStatistics,
    features_of,
)

N_FEATURES = 3
ROWS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(0, 30), st.just(N_FEATURES)),
    elements=st.floats(-1e3, 1e3, width=32),
)


def statistics_of(rows, n_recordings=1):
    voice = SpeakerStatistics.empty(N_FEATURES)
    for row in rows:
        voice = voice.with_window(row, 8_000)
    empty = np.zeros(N_FEATURES)
    return voice.merged(SpeakerStatistics(0, n_recordings, 0, empty, empty))


def assert_same(a, b):
    counts = ("n_windows", "n_recordings", "n_samples")
    assert [getattr(a, n) for n in counts] == [getattr(b, n) for n in counts]
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a.squares, b.squares, rtol=1e-9, atol=1e-4)


@given(ROWS)
def test_mean_and_variance_are_numpys(rows):
    voice = statistics_of(rows)

    assert voice.n_windows == len(rows)
    assert voice.n_samples == 8_000 * len(rows)
    if len(rows):
        np.testing.assert_allclose(voice.mean, rows.mean(0), atol=1e-9)
        np.testing.assert_allclose(voice.variance, rows.var(0), rtol=1e-7, atol=1e-5)
    else:
        assert not voice.mean.any()
        assert not voice.variance.any()


@given(ROWS, st.integers(0, 30))
def test_two_halves_merged_are_the_whole(rows, cut):
    halves = statistics_of(rows[:cut]).merged(statistics_of(rows[cut:]))

    assert_same(halves, statistics_of(rows, n_recordings=2))


@given(st.lists(ROWS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_order_nor_grouping_matters(recordings, random):
    voices = [statistics_of(rows) for rows in recordings]
    in_order = voices[0]
    for voice in voices[1:]:
        in_order = in_order.merged(voice)
    while len(voices) > 1:
        random.shuffle(voices)
        voices.append(voices.pop().merged(voices.pop()))

    assert_same(voices[0], in_order)


@given(ROWS)
def test_a_speaker_without_windows_changes_nothing(rows):
    voice, nobody = statistics_of(rows), SpeakerStatistics.empty(N_FEATURES)

    for merged in (voice.merged(nobody), nobody.merged(voice)):
        assert_same(merged, voice)
        np.testing.assert_array_equal(merged.mean, voice.mean)


def test_features_are_embedding_probabilities_and_entropy():
    embeddings = np.array([[1, 2], [3, 4]], np.float32)
    probabilities = np.array([[0.25] * 4, [1, 0, 0, 0]], np.float32)

    features = features_of(embeddings, probabilities)

    np.testing.assert_array_equal(features[:, :2], embeddings)
    np.testing.assert_array_equal(features[:, 2:6], probabilities)
    assert features[0, 6] == pytest.approx(np.log(4))
    assert features[1, 6] == 0
