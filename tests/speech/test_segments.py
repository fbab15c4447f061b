from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.audio.recording import load_audio
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.segments import Segmenter, SpeechOptions, find_segments

PROBABILITIES = st.lists(st.sampled_from([0.0, 0.2, 0.34, 0.4, 0.6, 1.0]), max_size=80)


def probabilities(signal, cuts=()):
    detector = SpeechDetector()
    pieces = [detector.push(piece) for piece in np.split(signal, sorted(cuts))]
    return np.concatenate([*pieces, detector.finish()])


def test_one_probability_a_frame(note):
    for n in (1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME + 3):
        assert len(probabilities(note[:n])) == -(-n // FRAME)
    assert len(probabilities(note[:0])) == 0


@given(st.lists(st.integers(0, 48_000), max_size=12))
@settings(max_examples=25)
def test_block_size_changes_no_probability(note, cuts):
    signal = note[:48_000]

    np.testing.assert_allclose(
        probabilities(signal, cuts), probabilities(signal), atol=1e-5
    )


@pytest.mark.parametrize("block", [160, 4_096, 100_000])
def test_block_size_changes_no_segment_of_real_speech(read_speech, block):
    whole = find_segments(probabilities(read_speech), len(read_speech))
    cuts = range(block, len(read_speech), block)

    segments = find_segments(probabilities(read_speech, cuts), len(read_speech))

    assert len(whole) > 5
    assert segments == whole


def test_pauses_are_found_where_they_were_put(read_speech, shared):
    lengths = [
        len(load_audio(f)) for f in sorted((shared / "speech").glob("*.flac"))[:3]
    ]
    segments = find_segments(probabilities(read_speech), len(read_speech))

    start = 0
    for n in lengths:
        start += n
        middle = start + 4000  # of half a second of digital silence
        assert not any(s.start <= middle < s.end for s in segments)
        start += 8000


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(80_000, np.float32),
        np.full(80_000, 0.5, np.float32),
        np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32),
        (0.3 * np.sin(np.arange(80_000) * 0.17)).astype(np.float32),
    ],
    ids=["silence", "offset", "white noise", "tone"],
)
def test_what_is_no_speech_has_no_segment(signal):
    assert find_segments(probabilities(signal), len(signal)) == []


def test_real_noise_is_rarely_speech(shared):
    kinds = ["002_-_Rain", "003_-_Sea_waves", "005_-_Clock_tick", "008_-_Chainsaw"]
    clips = [f for kind in kinds for f in (shared / "noise" / kind).glob("*.ogg")]
    found = 0
    for clip in clips:
        signal = load_audio(clip)
        found += bool(find_segments(probabilities(signal), len(signal)))

    assert len(clips) == 24
    assert found == 0


@pytest.mark.parametrize("gain_db", [-20, -10, 6])
def test_gain_changes_no_segment(read_speech, gain_db):
    gain = np.float32(10 ** (gain_db / 20))

    segments = find_segments(probabilities(read_speech * gain), len(read_speech))

    assert segments == find_segments(probabilities(read_speech), len(read_speech))


def test_speech_is_found_soon_after_a_bang(note):
    bang = np.zeros(16_000, np.float32)
    bang[8_000:8_400] = 0.9

    quiet = np.concatenate([bang, note[:80_000] * np.float32(0.1)])
    segments = find_segments(probabilities(quiet), len(quiet))

    plain = find_segments(probabilities(note[:80_000]), 80_000)
    assert segments[-1].end - 16_000 == pytest.approx(plain[-1].end, abs=2 * FRAME)
    assert sum(s.n_samples for s in segments) > 0.8 * sum(s.n_samples for s in plain)


@given(PROBABILITIES, st.data())
def test_segments_do_not_depend_on_how_frames_arrive(values, data):
    n_samples = max(1, len(values) * FRAME - data.draw(st.integers(0, FRAME - 1)))
    cut = data.draw(st.integers(0, len(values)))
    segmenter = Segmenter()

    pieces = [*segmenter.push(values[:cut]), *segmenter.push(values[cut:])]

    whole = find_segments(values, n_samples)
    assert [*pieces, *segmenter.finish(n_samples)] == whole


@given(PROBABILITIES)
def test_segments_are_ordered_disjoint_long_enough_and_hold_all_clear_speech(values):
    options = SpeechOptions()
    n_samples = len(values) * FRAME
    segments = find_segments(values, n_samples, options)

    bounds = [bound for s in segments for bound in (s.start, s.end)]
    assert bounds == sorted(bounds)
    assert all(0 <= bound <= n_samples for bound in bounds)
    assert all(s.n_samples >= options.min_speech * FRAME for s in segments)
    inside = np.zeros(len(values), bool)
    for s in segments:
        inside[s.start // FRAME : -(-s.end // FRAME)] = True
    loud = np.array([v >= options.threshold for v in values], bool)
    run = options.min_speech
    for i in range(len(values) - run + 1):
        if loud[i : i + run].all():
            assert inside[i : i + run].all()


@given(PROBABILITIES)
def test_an_open_segment_is_the_beginning_of_the_one_it_becomes(values):
    segmenter = Segmenter()
    opened = None
    for value in values:
        closed = segmenter.push([value])
        if closed and opened is not None:
            assert closed[-1].start == opened.start
            assert closed[-1].end >= opened.end
        opened = segmenter.open
        if opened is not None:
            assert segmenter.unsettled_from == opened.start


@pytest.mark.parametrize(
    "options",
    [{"release": 0.6}, {"threshold": 1.5}, {"pad_s": 0.3}, {"pad_s": -0.1}],
)
def test_options_that_contradict_themselves(options):
    with pytest.raises(ValueError, match="wanted 0"):
        SpeechOptions(**options)
