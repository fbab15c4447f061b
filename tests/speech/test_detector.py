"""Speech is found whatever came before it, or lies under it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.audio.recording import load_audio
from espressivo.errors import StateError
from espressivo.pipeline.state import StreamState
from espressivo.speech.chunker import Chunker
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.segments import SpeechOptions, find_segments
from espressivo.types import SAMPLE_RATE


def probabilities(signal, cuts=()):
    detector = SpeechDetector()
    pieces = np.split(np.asarray(signal, np.float32), sorted(cuts))
    return np.concatenate([*map(detector.push, pieces), detector.finish()])


def speech_mask(signal):
    mask = np.zeros(-(-len(signal) // FRAME), bool)
    for s in find_segments(probabilities(signal), len(signal)):
        mask[s.start // FRAME : -(-s.end // FRAME)] = True
    return mask


def share_found(found, wanted):
    return (found & wanted).sum() / wanted.sum()


@pytest.fixture(scope="module")
def quiet(note):
    """Return 3 s of speech, its loudest frame at -42 dB."""
    clip = note[: 94 * FRAME]
    loudest = np.sqrt(np.square(clip.reshape(-1, FRAME)).mean(1)).max()
    return clip * np.float32(10 ** (-42 / 20) / loudest)


@pytest.fixture(scope="module")
def spoken(quiet):
    return speech_mask(quiet)


def test_case_of_a_beep_before_quiet_speech(shared):
    signal = load_audio(shared / "cases" / "beep-then-quiet.flac")

    segments = find_segments(probabilities(signal), len(signal))

    assert 0.3 < segments[0].start / SAMPLE_RATE < 0.5
    assert sum(s.n_samples for s in segments) > 3.3 * SAMPLE_RATE


def test_case_of_an_offset(shared):
    signal = load_audio(shared / "cases" / "dc-offset-quiet.flac")

    assert np.array_equal(speech_mask(signal), speech_mask(signal - signal.mean()))


def wave(hz, n, size=1.0):
    return size * np.sin(2 * np.pi * hz * np.arange(n) / SAMPLE_RATE)


@given(
    offset=st.floats(-0.8, 0.8),
    slope=st.floats(-0.1, 0.1),
    hz=st.floats(0.1, 5),
    size=st.floats(0, 0.1),
)
@settings(max_examples=25)
def test_offsets_hide_no_speech(quiet, spoken, offset, slope, hz, size):  # noqa: PLR0917
    n = len(quiet)
    under = offset + slope * np.arange(n) / n + wave(hz, n, size)

    found = speech_mask(quiet + under)

    assert share_found(found, spoken) > 0.85
    assert not speech_mask(under).any()


@pytest.mark.parametrize("step", [0.01, 0.1, -0.6])
def test_an_offset_that_jumps_hides_no_speech(quiet, spoken, step):
    under = np.where(np.arange(len(quiet)) // (SAMPLE_RATE // 2) % 2, step, 0)

    assert share_found(speech_mask(quiet + under), spoken) > 0.85


def burst(n, seed=0):
    return 0.25 * np.random.default_rng(seed).standard_normal(n)


def slam(n):
    return 4 * burst(n) * np.exp(-np.arange(n) / 1_300)


EVENTS = {
    "beep": lambda n: wave(1_000, n, 0.7),
    "low tone": lambda n: wave(120, n, 0.9),
    "ring-back": lambda n: wave(440, n, 0.4) + wave(480, n, 0.4),
    "dialling": lambda n: np.where(np.arange(n) // 1_600 % 2, 0, wave(770, n, 0.8)),
    "slam": slam,
    "noise": burst,
    "square wave": lambda n: 0.9 * np.sign(wave(300, n)),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("duration_s", [0.03, 0.2, 1, 4])
@pytest.mark.parametrize("gap_s", [0, 0.3, 2])
def test_loud_events_do_not_hide_quiet_speech(quiet, spoken, event, duration_s, gap_s):
    n = round(duration_s * SAMPLE_RATE / FRAME) * FRAME
    gap = round(gap_s * SAMPLE_RATE / FRAME) * FRAME
    for level in (1.0, 0.1):
        before = np.concatenate([level * EVENTS[event](n), np.zeros(gap)])
        hiss = np.random.default_rng(1).normal(0, 3e-5, len(before) + len(quiet))
        mask = speech_mask(np.concatenate([before, quiet]) + hiss)

        # What follows at once may lose its first second.
        late = slice(0 if gap_s else 31, None)
        assert share_found(mask[-len(spoken) :][late], spoken[late]) > 0.9


@pytest.mark.parametrize("silence_s", [0.1, 0.5, 1, 60, 300])
@pytest.mark.parametrize("floor", [0, 3e-6, 3e-5])
def test_quiet_speech_is_found_after_any_silence(note, quiet, spoken, silence_s, floor):
    n = round(silence_s * SAMPLE_RATE / FRAME) * FRAME
    signal = np.concatenate([note[: 94 * FRAME], np.zeros(n), quiet])
    signal += floor * np.random.default_rng(2).standard_normal(len(signal))

    mask = speech_mask(signal)

    assert share_found(mask[-94:], spoken) > 0.85
    assert not mask[110 : 94 + n // FRAME - 4].any()


@pytest.mark.parametrize("gain_db", [-80, -60, -40, 20])
def test_any_gain_finds_the_same(note, gain_db):
    clip = note[:96_000] + np.float32(1e-5) * burst(96_000).astype(np.float32)

    found = speech_mask(clip * 10 ** (gain_db / 20))

    assert np.array_equal(found, speech_mask(clip))


SILENCES = st.lists(
    st.tuples(st.integers(0, 40_000), st.integers(1, 30_000)), max_size=4
)


@given(SILENCES, st.lists(st.integers(0, 48_000), max_size=12))
@settings(max_examples=40)
def test_digital_silence_and_blocks_change_no_probability(note, silences, cuts):
    signal = note[:48_000].copy()
    for start, n in silences:
        signal[start : start + n] = 0

    np.testing.assert_allclose(
        probabilities(signal, cuts), probabilities(signal), atol=1e-5
    )


def saved(note, **changed):
    chunker = Chunker(128_000, 8_000, SpeechOptions())
    chunker.push(note[:40_000])
    content = StreamState("0" * 64, None, chunker=chunker.state).to_bytes()
    with np.load(io.BytesIO(content)) as file:
        arrays = {k: v for k, v in (dict(file) | changed).items() if v is not None}
    changed_file = io.BytesIO()
    np.savez(changed_file, **arrays)
    return chunker, changed_file.getvalue()


def test_a_saved_stream_goes_on_as_if_nothing_happened(note):
    chunker, content = saved(note)

    detector = SpeechDetector(StreamState.from_bytes(content).chunker.detector)

    rest = SpeechDetector(chunker.state.detector).push(note[40_000:80_000])
    np.testing.assert_array_equal(detector.push(note[40_000:80_000]), rest)


def test_a_stream_that_was_saved_without_recent_levels_goes_on(note):
    chunker, content = saved(note, recent=None)

    state = StreamState.from_bytes(content).chunker.detector

    rest = SpeechDetector(chunker.state.detector).push(note[40_000:80_000])
    found = SpeechDetector(state).push(note[40_000:80_000])
    assert ((found >= 0.5) == (rest >= 0.5)).mean() > 0.95
    assert StreamState.from_bytes(content).to_bytes()


def test_a_stream_with_too_few_levels_is_refused(note):
    _, content = saved(note, recent=np.ones(3))

    with pytest.raises(StateError, match="levels of"):
        StreamState.from_bytes(content)
