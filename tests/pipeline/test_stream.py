from __future__ import annotations

import io
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.errors import AudioError, StateError
from espressivo.pipeline.state import StreamState
from espressivo.profile.profile import Profile
from espressivo.speech.detector import FRAME
from espressivo.speech.segments import SpeechOptions
from espressivo.types import to_rows
from tests.conftest import ROOT


def streamed(analyzer, signal, sizes, **options):
    """Push a signal in chunks of these sizes, over and over; estimates and report."""
    stream = analyzer.stream(**options)
    estimates, at, i = [], 0, 0
    while at < len(signal):
        size = sizes[i % len(sizes)]
        estimates += stream.push(signal[at : at + size])
        at, i = at + size, i + 1
    return estimates, stream.finish("array")


@pytest.fixture(scope="module")
def whole(analyzer, note):
    """Estimates and report of the note, pushed at once."""
    return streamed(analyzer, note, [len(note)])


def test_the_report_is_that_of_the_whole_recording(analyzer, note, whole):
    assert whole[1] == analyzer.analyze(note)


@pytest.fixture(scope="module")
def beginning(analyzer, note):
    """10 s of the note, and what is found in them at once."""
    piece = note[:160_000]
    return piece, streamed(analyzer, piece, [len(piece)])


@settings(max_examples=8)
@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=5))
def test_chunks_of_any_size_give_the_same(analyzer, beginning, sizes):
    piece, expected = beginning
    assert streamed(analyzer, piece, sizes) == expected


def test_chunks_of_one_sample_give_the_same(analyzer, note):
    piece = note[: 4 * 16_000]

    one = streamed(analyzer, piece, [1])

    assert one == streamed(analyzer, piece, [len(piece)])
    assert one[0]


def test_estimates_come_while_someone_speaks_at_every_hop(analyzer, note):
    estimates, report = streamed(analyzer, note, [1600], hop_s=1.0)

    provisional = [e for e in estimates if e.provisional]
    certain = [e for e in estimates if not e.provisional]
    assert tuple(certain) == report.estimates[: len(certain)]
    assert len(certain) >= len(report.estimates) - 1
    assert not any(e.provisional for e in report.estimates)
    n_speech = sum(s.n_samples for s in report.segments)
    assert 0.5 * n_speech / 16_000 < len(provisional) < n_speech / 16_000 + 1
    for e in provisional:
        assert 16_000 <= e.segment.n_samples <= 8 * 16_000
        assert sum(e.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_the_hop_changes_nothing_in_the_report(analyzer, note, whole):
    for hop_s in (0, 0.3, 5):
        estimates, report = streamed(analyzer, note, [5000], hop_s=hop_s)
        assert report == whole[1]
        assert any(e.provisional for e in estimates) == (hop_s > 0)


def test_an_estimate_says_what_the_model_says_of_its_samples(analyzer, note):
    estimates, _ = streamed(analyzer, note, [3000])

    for e in estimates:
        signal = note[e.segment.start : e.segment.end]
        (row,) = analyzer.classifier(signal[None])
        np.testing.assert_allclose(row, to_rows([e])[0], atol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 511, 70_000, 150_001])
def test_a_saved_stream_goes_on_the_same(analyzer, note, whole, at):
    stream = analyzer.stream()
    estimates = stream.push(note[:at])

    content = stream.state.to_bytes()
    restored = analyzer.stream(state=StreamState.from_bytes(content))
    estimates += restored.push(note[at:])

    assert (estimates, restored.finish("array")) == whole
    # And the one that was saved is none the worse for it.
    stream.push(note[at:])
    assert stream.finish("array") == whole[1]


def test_memory_is_bounded_and_the_mean_is_of_all(analyzer, note):
    signal = np.tile(note, 4)
    everything = streamed(analyzer, signal, [16_000])[1]
    stream = analyzer.stream(history=3)
    sizes = []
    for at in range(0, len(signal), 16_000):
        stream.push(signal[at : at + 16_000])
        state = stream.state
        held = len(state.chunker.windower.buffer) + len(state.pending)
        assert held <= 3 * 8 * 16_000
        sizes.append(len(state.to_bytes()))
    report = stream.finish("array")

    assert max(sizes) < 2_000_000
    assert len(report.estimates) == len(report.segments) == 3
    assert report.estimates == everything.estimates[-3:]
    assert report.earlier.n_windows == len(everything.estimates) - 3
    assert report.to_dict()["earlier"] == {
        "n_windows": report.earlier.n_windows,
        "until_s": round(report.earlier.until / 16_000, 3),
    }
    assert "earlier" not in everything.to_dict()
    schema = json.loads((ROOT / "docs/report.schema.json").read_text("utf-8"))
    jsonschema.validate(report.to_dict(), schema)
    assert report.speech_s == pytest.approx(everything.speech_s)
    assert report.emotion == everything.emotion
    for emotion, p in everything.probabilities.items():
        assert report.probabilities[emotion] == pytest.approx(p, abs=1e-9)


def test_memory_is_bounded_after_restoring_too(analyzer, note):
    signal = np.tile(note, 2)
    report = streamed(analyzer, signal, [8000], history=2)[1]
    stream = analyzer.stream(history=2)
    for at in range(0, len(signal), 8000):
        stream.push(signal[at : at + 8000])
        state = StreamState.from_bytes(stream.state.to_bytes())
        stream = analyzer.stream(history=2, state=state)

    assert stream.finish("array") == report


def test_a_stream_with_a_profile_is_the_recording_with_one(analyzer, note):
    me = Profile.new("me", analyzer.classifier)
    learned = analyzer.with_profile(me).analyze(note)
    mine = analyzer.with_profile(me.merged(learned))
    expected = mine.analyze(note)

    stream = mine.stream()
    stream.push(note[:200_000])
    stream = mine.stream(state=StreamState.from_bytes(stream.state.to_bytes()))
    stream.push(note[200_000:])
    report = stream.finish("array")

    assert report.to_dict() == expected.to_dict()
    assert report.adaptation.weight > 0
    assert report.statistics.n_recordings == 1
    np.testing.assert_array_equal(report.statistics.cells, expected.statistics.cells)
    for name in ("weights", "sums", "mean", "scatter"):
        np.testing.assert_allclose(
            getattr(report.statistics, name),
            getattr(expected.statistics, name),
            atol=1e-4,
        )
    np.testing.assert_allclose(report.voices, expected.voices, atol=1e-5)


def test_a_stream_in_a_setting_is_the_recording_there(analyzer, note):
    empty = Profile.new("room", analyzer.classifier, "setting")
    heard = espressivo.Analyzer(analyzer.classifier, voices=True).analyze(note)
    there = analyzer.with_profile(None, empty.merged(heard))

    _, report = streamed(there, note, [30_000])

    assert report.to_dict() == there.analyze(note).to_dict()
    state = there.stream().state
    assert StreamState.from_bytes(state.to_bytes()).setting == "room"
    with pytest.raises(StateError, match="with the setting 'room', and this is with"):
        analyzer.stream(state=state)


def test_a_stream_goes_on_with_the_same_profile_and_detection_only(analyzer, note):
    me = Profile.new("me", analyzer.classifier)
    learned = me.merged(analyzer.with_profile(me).analyze(note))
    state = StreamState.from_bytes(analyzer.with_profile(me).stream().state.to_bytes())
    patient = espressivo.Analyzer(
        analyzer.classifier, speech=SpeechOptions(min_pause_s=1), profile=me
    )

    analyzer.with_profile(me).stream(state=state)
    with pytest.raises(StateError, match=r"'me' of another content \(it has learned"):
        analyzer.with_profile(learned).stream(state=state)
    with pytest.raises(StateError, match=r"pauses of 1 s.*the same `speech`"):
        patient.stream(state=state)


def test_a_long_stream_keeps_the_voices_that_it_lists(analyzer, note):
    heard = espressivo.Analyzer(analyzer.classifier, voices=True)

    _, report = streamed(heard, np.tile(note, 2), [16_000], history=3)

    assert len(report.voices) == len(report.estimates) == 3
    assert report.statistics.n_windows == 3 + report.earlier.n_windows
    assert report.adaptation is None


def test_a_stream_is_not_adapted_to_a_recording_that_has_not_ended(analyzer):
    adapting = espressivo.Analyzer(analyzer.classifier, adapt=True)

    with pytest.raises(ValueError, match="cannot be adapted to a recording that has"):
        adapting.stream()


def test_a_stream_without_voices_does_not_go_on_with_them(analyzer):
    hearing = espressivo.Analyzer(analyzer.classifier, voices=True)

    for one, other in ((analyzer, hearing), (hearing, analyzer)):
        state = StreamState.from_bytes(one.stream().state.to_bytes())
        one.stream(state=state)
        with pytest.raises(StateError, match="restore it with the same `voices`"):
            other.stream(state=state)


@pytest.mark.parametrize(
    "changes",
    [
        {"voice_weights": np.full(1, np.nan)},
        {"voice_weights": np.array(1.0)},
        {"voice_cells": np.zeros((1, 2), np.int64)},
        {"voice_scatter": np.zeros((2, 2))},
        {"voice_mean": np.zeros(5), "voice_scatter": np.zeros((5, 5))},
        {"voices": np.zeros((2, 3), np.float32)},
    ],
)
def test_a_stream_with_voices_that_cannot_be_is_refused(analyzer, changes):
    hearing = espressivo.Analyzer(analyzer.classifier, voices=True)
    with np.load(io.BytesIO(hearing.stream().state.to_bytes())) as file:
        arrays = dict(file)
    edited = io.BytesIO()
    np.savez(edited, **arrays | changes)

    with pytest.raises(StateError, match=r"begin a new one"):
        hearing.stream(state=StreamState.from_bytes(edited.getvalue()))


def test_a_stream_that_was_saved_with_an_earlier_profile_is_refused(analyzer):
    content = analyzer.stream().state.to_bytes()
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    details = json.loads(arrays.pop("details").tobytes())
    details |= {"schema": "espressivo.stream/2", "speaker": "me"}
    old = io.BytesIO()
    text = np.frombuffer(json.dumps(details).encode(), np.uint8)
    np.savez(old, details=text, **arrays)

    with pytest.raises(StateError, match="it has a profile of an earlier version"):
        StreamState.from_bytes(old.getvalue())


def test_pcm_is_taken_as_it_is(analyzer, note, whole):
    pcm = np.round(note * 32_767).astype(np.int16)

    report = streamed(analyzer, pcm, [4000])[1]

    assert report.emotion == whole[1].emotion


@pytest.mark.parametrize("size", [700, 16_000, 391_280])
def test_a_few_samples_that_are_not_finite_are_silence(analyzer, note, size):
    broken = note.copy()
    broken[[90_000, 90_001, 300_000]] = np.nan, np.inf, -np.inf
    stream = analyzer.stream(hop_s=0)
    for at in range(0, len(broken), size):
        stream.push(broken[at : at + size])

    report = stream.finish()

    whole = analyzer.analyze(broken)
    assert report.segments == whole.segments
    np.testing.assert_allclose(
        to_rows(report.estimates),
        to_rows(whole.estimates),
        atol=1e-5,
    )
    for found in (report, whole):
        (warning,) = found.warnings
        assert "sample 90000 is NaN or infinite (3 of 391280 are)" in warning


def test_what_is_no_audio_is_refused_and_costs_nothing(analyzer, note, whole):
    stream = analyzer.stream()
    stream.push(note[:100_000])
    for wrong in (np.zeros((2, 3)), np.full(99_000, np.nan), np.array([1e6]), ["a"]):
        with pytest.raises(AudioError):
            stream.push(wrong)
    stream.push(note[100_000:])

    assert stream.finish("array") == whole[1]


def test_nothing_comes_after_the_end(analyzer, note):
    stream = analyzer.stream()
    stream.push(note[:FRAME])
    report = stream.finish()
    assert report.recording == "stream"
    assert report.duration_s == FRAME / 16_000

    with pytest.raises(StateError, match="finished"):
        stream.push(note[:FRAME])
    with pytest.raises(StateError, match="finished"):
        stream.finish()


def test_an_empty_stream_has_a_report(analyzer):
    report = analyzer.stream().finish()

    assert report.emotion is None
    assert report.duration_s == 0


def test_a_saved_stream_is_judged_by_the_model_that_goes_on(
    analyzer, note, judging_model
):
    judging = espressivo.load_model(judging_model)
    stream = analyzer.stream()
    stream.push(note[:200_000])
    state = StreamState.from_bytes(stream.state.to_bytes())

    resumed = judging.stream(state=state)  # the same graph with a threshold
    resumed.push(note[200_000:])

    report = resumed.finish()
    whole = judging.analyze(note)
    flags = [report.is_uncertain(e) for e in report.estimates]
    assert flags == [whole.is_uncertain(e) for e in whole.estimates]
    assert {True, False} == set(flags)
    assert report.uncertain == whole.uncertain


def test_states_that_are_refused(analyzer, note):
    stream = analyzer.stream()
    stream.push(note)
    state = stream.state
    content = state.to_bytes()

    for damaged in (b"", b"words", content[:-50], content[: len(content) // 2]):
        with pytest.raises(StateError, match="damaged, or is none"):
            StreamState.from_bytes(damaged)
    with pytest.raises(StateError, match=r"sha256 ffff.*restore it with the model"):
        analyzer.stream(state=replace(state, model_sha256="f" * 64))
    me = analyzer.with_profile(Profile.new("me", analyzer.classifier))
    with pytest.raises(StateError, match="no profile, and this is with the profile"):
        me.stream(state=state)


def test_a_flipped_byte_of_audio_is_noticed(analyzer, note):
    stream = analyzer.stream()
    stream.push(note[:60_000])
    content = bytearray(stream.state.to_bytes())
    content[len(content) // 2] ^= 1

    with pytest.raises(StateError):
        StreamState.from_bytes(bytes(content))


@pytest.mark.parametrize("options", [{"hop_s": -1}, {"history": 0}])
def test_options_that_cannot_be(analyzer, options):
    with pytest.raises(ValueError, match="wanted"):
        analyzer.stream(**options)


def test_read_speech_as_it_comes_from_a_microphone(analyzer, shared):
    files = sorted((shared / "speech").glob("*.flac"))[:3]
    signal = np.concatenate([load_audio(f) for f in files])

    estimates, report = streamed(analyzer, signal, [480])

    expected = analyzer.analyze(signal)
    assert report.segments == expected.segments
    assert [e.segment for e in report.estimates] == [
        e.segment for e in expected.estimates
    ]
    for e, other in zip(report.estimates, expected.estimates, strict=True):
        # analyze classifies windows of one length together, which moves the last digits
        np.testing.assert_allclose(*to_rows([e, other]), atol=1e-5)
    assert {e.provisional for e in estimates} == {False, True}
    assert isinstance(report.emotion, espressivo.Emotion)
