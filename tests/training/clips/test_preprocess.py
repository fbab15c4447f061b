import warnings

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from espressivo.audio.recording import load_audio
from espressivo.training.clips.preprocess import (
    find_loud,
    peak_normalize,
    pre_emphasis,
    trim,
)

signals = hnp.arrays(
    np.float32,
    st.integers(1, 9000),
    elements=st.floats(-1, 1, width=32),
    fill=st.just(np.float32(0)),
)


def librosas(signal, top_db=20.0):
    return librosa.effects.trim(signal, top_db=top_db)


@given(signals)
def test_trim_equals_librosas_on_any_signal(signal):
    expected, span = librosas(signal)
    loud = find_loud(signal)
    assert (loud.start, loud.end) == tuple(span)
    assert np.array_equal(trim(signal), expected)


@given(
    seed=st.integers(0, 10_000),
    lengths=st.tuples(*[st.integers(0, 20_000)] * 3),
    quiet_db=st.floats(-60, 0),
)
def test_trim_equals_librosas_on_speech_between_noise(seed, lengths, quiet_db):
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 0.1, sum(lengths) + 1).astype(np.float32)
    signal[: lengths[0]] *= 10 ** (quiet_db / 20)
    signal[lengths[0] + lengths[1] :] *= 10 ** (quiet_db / 20)
    _, span = librosas(signal)
    loud = find_loud(signal)
    assert (loud.start, loud.end) == tuple(span)


def test_trim_equals_librosas_on_real_recordings(shared):
    paths = [
        *sorted((shared / "corpora/ravdess").glob("Actor_*/*.flac"))[::97],
        *sorted((shared / "corpora/nemo").glob("*.opus"))[::331],
        *sorted((shared / "corpora/emodb").glob("*.opus"))[::41],
        *sorted((shared / "speech").iterdir())[::13],
    ]
    assert len(paths) > 30
    for path in paths:
        signal = load_audio(path)
        assert np.array_equal(trim(signal), librosas(signal)[0]), path


def test_trim_of_nothing_and_of_silence():
    assert len(trim(np.zeros(0, np.float32))) == 0
    assert len(trim(np.zeros(5000, np.float32))) == 5000


@given(signals, st.sampled_from([0.25, 0.5, 2.0]))
def test_trim_does_not_depend_on_the_gain(signal, gain):
    # Above librosa's floor, and by powers of two, which round nothing.
    signal[0] = 1.0
    assert find_loud(signal * np.float32(gain)) == find_loud(signal)


def test_pre_emphasis_is_the_filter():
    signal = np.array([1, 1, 0, -1], np.float32)
    assert pre_emphasis(signal) == pytest.approx([1, 0.03, -0.97, -1])
    assert np.array_equal(pre_emphasis(signal, 0.0), signal)


@given(signals)
def test_pre_emphasis_equals_librosas(signal):
    expected = librosa.effects.preemphasis(signal, coef=0.97, zi=np.zeros(1))
    assert pre_emphasis(signal) == pytest.approx(expected, abs=1e-6)


@given(signals)
def test_the_peak_is_where_it_was_asked_for(signal):
    before = signal.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = peak_normalize(signal)
    assert np.array_equal(signal, before)
    assert scaled.dtype == np.float32
    wanted = 0.95 if signal.any() else 0.0
    assert np.abs(scaled).max() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("change", [trim, pre_emphasis, peak_normalize])
def test_an_empty_signal_stays_empty(change):
    assert change(np.zeros(0, np.float32)).shape == (0,)
