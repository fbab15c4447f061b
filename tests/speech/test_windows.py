from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.speech.windows import (
    Windower,
    plan_windows,
)
from espressivo.types import Segment

WINDOW, MINIMUM = 80, 5


@given(st.integers(0, 1000), st.integers(1, 2000))
def test_windows_tile_their_segment(start, length):
    windows = plan_windows(Segment(start, start + length), WINDOW)

    assert windows[0].start == start
    assert windows[-1].end == start + length
    assert all(a.end == b.start for a, b in pairwise(windows))
    assert all(0 < w.n_samples <= WINDOW for w in windows)
    if length > WINDOW:  # no useless tail
        assert min(w.n_samples for w in windows) >= WINDOW // 2
        assert abs(windows[-1].n_samples - windows[-2].n_samples) <= 1


@st.composite
def segments_of(draw):
    lengths = draw(st.lists(st.integers(0, 300), min_size=2, max_size=10))
    bounds = np.cumsum(lengths).tolist()
    pairs = zip(bounds[::2], bounds[1::2], strict=False)
    segments = [Segment(a, b) for a, b in pairs if b > a]
    return segments, bounds[-1] + draw(st.integers(0, 40))


def _centred(signal):
    return signal - np.float32(signal.mean(dtype=np.float64))


@pytest.mark.parametrize(("offset", "wanted"), [(0.0, 0.0), (0.001, 0.001), (0.3, 0.0)])
def test_only_an_offset_is_taken_away(offset, wanted):
    sound = np.tile(np.array([0, 0.5, 0, -0.5], np.float32), 20)
    windower = Windower(WINDOW, 1)
    windower.push(sound + np.float32(offset))

    (window,) = windower.cut_closed(Segment(0, len(sound)))

    np.testing.assert_allclose(window.signal, sound + wanted, atol=1e-6)


@given(segments_of(), st.integers(1, 120))
def test_streaming_cuts_the_same_windows_as_the_plan(drawn, block):
    segments, n_samples = drawn
    signal = np.arange(n_samples, dtype=np.float32)
    windower = Windower(WINDOW, 1)
    windows = []
    left = list(segments)
    for start in range(0, n_samples, block):
        windower.push(signal[start : start + block])
        while left and left[0].end <= windower.n_samples:
            windows += windower.cut_closed(left.pop(0))
        if left and left[0].start < windower.n_samples:
            opened = Segment(left[0].start, windower.n_samples)
            windows += windower.cut_open(opened)
        windower.forget(left[0].start if left else windower.n_samples)
        assert len(windower.state.buffer) <= 2 * WINDOW + block + 1 + 300

    assert [w.segment for w in windows] == [
        w for s in segments for w in plan_windows(s, WINDOW)
    ]
    for w in windows:
        wanted = _centred(signal[w.segment.start : w.segment.end])
        np.testing.assert_array_equal(w.signal, wanted)


@pytest.mark.parametrize(
    ("n_samples", "segment", "widened"),
    [
        (100, Segment(50, 53), Segment(49, 54)),
        (100, Segment(0, 2), Segment(0, 5)),
        (100, Segment(98, 100), Segment(95, 100)),
        (5, Segment(1, 3), Segment(0, 5)),
    ],
)
def test_short_speech_is_widened_into_its_surroundings(n_samples, segment, widened):
    windower = Windower(WINDOW, MINIMUM)
    signal = np.arange(n_samples, dtype=np.float32)
    windower.push(signal)

    (window,) = windower.cut_closed(segment)

    assert window.segment == widened
    wanted = _centred(signal[widened.start : widened.end])
    np.testing.assert_array_equal(window.signal, wanted)


def test_only_a_recording_shorter_than_the_minimum_is_padded():
    windower = Windower(WINDOW, MINIMUM)
    windower.push(np.array([1, 5, 3], np.float32))

    (window,) = windower.cut_closed(Segment(0, 3))

    assert window.segment == Segment(0, 3)
    np.testing.assert_array_equal(window.signal, [-2, 2, 0, 0, 0])


def test_an_endless_segment_keeps_the_buffer_small():
    windower = Windower(WINDOW, MINIMUM)
    n_windows = 0
    for i in range(100):
        windower.push(np.zeros(100, np.float32))
        n_windows += len(windower.cut_open(Segment(0, 100 * (i + 1))))
        windower.forget(0)
        assert len(windower.state.buffer) <= 2 * WINDOW + MINIMUM

    assert n_windows == (100 * 100 - 2 * WINDOW - 1) // WINDOW + 1


def test_a_minimum_beyond_the_window_is_refused():
    with pytest.raises(ValueError, match="minimum is 9"):
        Windower(8, 9)
