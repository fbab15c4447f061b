from __future__ import annotations

import os
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import espressivo
from espressivo.analyzer import Analyzer
from espressivo.audio.recording import load_audio
from espressivo.types import to_rows
from tests.conftest import NOTE
from tests.odd_recordings import Track, write
from tests.recordings import encode


def probabilities(report):
    return to_rows(report.estimates)


def assert_same(report, other, atol=1e-5):
    assert report.segments == other.segments
    assert [e.segment for e in report.estimates] == [e.segment for e in other.estimates]
    np.testing.assert_allclose(probabilities(report), probabilities(other), atol=atol)


def test_a_voice_note(analyzer):
    report = analyzer.analyze(NOTE)

    assert report.duration_s == pytest.approx(24.5, abs=0.1)
    assert len(report.segments) == 4  # four remarks, long pauses between
    assert 0.7 < report.speech_share < 0.95
    np.testing.assert_allclose(probabilities(report).sum(1), 1, atol=1e-5)
    assert sum(report.probabilities.values()) == pytest.approx(1)
    assert report.warnings == ()


def test_a_file_equals_its_array(analyzer, note):
    assert_same(analyzer.analyze(NOTE), analyzer.analyze(note), atol=0)


@pytest.mark.parametrize("block_s", [0.02, 0.5, 7.0, 3600.0])
def test_block_size_changes_nothing(analyzer, note, block_s):
    report, other = analyzer.analyze(note, block_s=block_s), analyzer.analyze(note)

    assert_same(report, other)
    np.testing.assert_array_equal(report.loudness, other.loudness)
    assert len(report.loudness) == -(-len(note) // 1600)


@pytest.fixture(scope="module")
def read_report(analyzer, read_speech):
    return analyzer.analyze(read_speech)


@pytest.mark.parametrize(
    ("batch_size", "threads"), [(1, 1), (1, 5), (2, 2), (3, 5), (16, 1), (16, 2)]
)
def test_batch_size_and_threads_change_nothing(
    analyzer, read_speech, read_report, batch_size, threads
):
    other = Analyzer(analyzer.classifier, threads=threads, batch_size=batch_size)

    report = other.analyze(read_speech)

    assert len(report.estimates) > 8
    assert_same(report, read_report)


@pytest.mark.parametrize("gain_db", [-20, -10, 6])
def test_gain_changes_no_probability_much_on_real_recordings(analyzer, shared, gain_db):
    # Both the model and the voice activity detector scale their input.
    clips = sorted((shared / "corpora/ravdess/Actor_07").glob("*.flac"))[::6]
    gain = np.float32(10 ** (gain_db / 20))
    shifts = []
    for clip in clips:
        signal = load_audio(clip)
        quiet = analyzer.analyze(signal * gain).probabilities
        plain = analyzer.analyze(signal).probabilities
        shifts.append(max(abs(quiet[e] - plain[e]) for e in plain))

    assert len(shifts) == 10
    assert max(shifts) <= 0.05


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(0, np.float32),
        np.zeros(48, np.float32),
        np.full(48, 0.3, np.float32),
        np.zeros(160_000, np.float32),
        np.random.default_rng(1).normal(0, 0.2, 160_000).clip(-1, 1),
        np.zeros(32_000, np.int16),
    ],
    ids=["nothing", "3 ms silence", "3 ms", "silence", "noise", "integer silence"],
)
def test_no_speech_is_said_and_no_emotion_made_up(analyzer, signal):
    report = analyzer.analyze(signal)

    assert report.segments == ()
    assert report.emotion is None
    assert report.speech_share == 0


def test_music_has_no_emotion(analyzer):
    time = np.arange(10 * 16_000) / 16_000
    chords = [(220, 277.2, 329.6), (246.9, 311.1, 370), (196, 246.9, 293.7)]
    music = np.zeros_like(time)
    for i, chord in enumerate(chords * 4):
        begun = np.maximum(time - 0.8 * i, 0)
        decay = np.exp(-3 * begun) * (time >= 0.8 * i)
        for f in chord:
            for overtone in (1, 2, 3):
                music += decay * np.sin(2 * np.pi * f * overtone * time) / overtone**2

    assert analyzer.analyze((0.1 * music).astype(np.float32)).emotion is None


def test_a_cry_shorter_than_the_models_minimum_is_still_heard(analyzer, shared):
    signal = load_audio(shared / "corpora/emodb/03a01Wa.opus")[6_000:11_000]

    report = analyzer.analyze(np.pad(signal, 8_000))

    for e in report.estimates:
        assert e.segment.n_samples >= 8_000


def test_long_speech_without_a_pause_keeps_windows_within_bounds(
    analyzer, note, shared
):
    clip = load_audio(sorted((shared / "speech").glob("*.flac"))[1])[8_000:56_000]

    report = analyzer.analyze(np.tile(clip, 14))  # 42 s of one breath

    assert any(s.n_samples > 16 * 16_000 for s in report.segments)
    assert all(8_000 <= e.segment.n_samples <= 128_000 for e in report.estimates)
    covered = sum(e.segment.n_samples for e in report.estimates)
    assert covered == sum(s.n_samples for s in report.segments)


def test_a_truncated_recording_is_analysed_with_a_warning(analyzer, note, tmp_path):
    path = encode(tmp_path / "note.wav", note)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    report = analyzer.analyze(path)

    assert report.duration_s == pytest.approx(len(note) / 32_000, abs=0.1)
    assert report.emotion is not None
    assert "truncated" in report.warnings[0]


@given(
    arrays.arrays(np.float32, st.integers(0, 3000), elements=st.floats(-1, 1, width=32))
)
@settings(max_examples=30)
def test_any_signal_has_a_report(analyzer, signal):
    report = analyzer.analyze(signal)

    assert report.duration_s == len(signal) / 16_000
    for s in report.segments:
        assert 0 <= s.start < s.end <= len(signal)


def test_progress_reaches_the_end(analyzer, note):
    seen = []
    analyzer.analyze(
        note, block_s=5, progress=lambda done_s, total_s: seen.append((done_s, total_s))
    )

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(note) / 16_000, len(note) / 16_000)


def test_an_interrupt_stops_at_once_and_leaves_no_thread(analyzer, note):
    import threading

    def interrupt(done_s, total_s):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        analyzer.analyze(note, block_s=5, progress=interrupt)

    assert threading.active_count() == before


@pytest.mark.parametrize("options", [{"threads": 0}, {"batch_size": 0}])
def test_options_that_cannot_be(options):
    with pytest.raises(ValueError, match="wanted 1 or more"):
        espressivo.load_model(**options)


def test_each_channel_is_analysed_by_itself(analyzer, note, tmp_path):
    # In whole steps of 16 bits, so that the file holds the samples exactly.
    pair = np.stack([note[:160_000], 0.3 * note[160_000:320_000]])
    samples = (pair * 2**15).round().astype(np.float32) / 2**15
    path = write(tmp_path / "call.wav", Track(samples, "s16"))

    reports = analyzer.analyze_channels(path)

    assert [r.channels for r in reports] == ["left", "right"]
    assert [r.recording for r in reports] == [f"{path} [left]", f"{path} [right]"]
    for report, signal in zip(reports, samples, strict=True):
        assert len(report.estimates) >= 1
        assert_same(report, analyzer.analyze(signal))
    # Of a stream that can be read once, and of an array, it is the same.
    reader, writer = os.pipe()
    Thread(target=_copy, args=(path, writer)).start()
    with os.fdopen(reader, "rb") as pipe:
        piped = analyzer.analyze_channels(pipe, name="pipe")
    assert [r.recording for r in piped] == ["pipe [left]", "pipe [right]"]
    named = analyzer.analyze_channels(samples, name="caf\udce9")  # no UTF-8
    assert named[0].recording == "caf\\udce9 [left]"
    for other in (piped, named):
        for report, same in zip(reports, other, strict=True):
            assert_same(report, same)


def _copy(path, descriptor):
    with os.fdopen(descriptor, "wb") as file:
        file.write(path.read_bytes())


def test_one_channel_has_one_report(analyzer):
    (report,) = analyzer.analyze_channels(NOTE)

    assert report == analyzer.analyze(NOTE)


def test_embeddings_are_of_the_windows_of_the_report(analyzer, note):
    report = analyzer.analyze(NOTE)

    segments, vectors = analyzer.embed(NOTE)

    assert segments == tuple(e.segment for e in report.estimates)
    assert vectors.dtype == np.float32
    width = analyzer.classifier.embedding_width
    assert vectors.shape == (len(segments), width)
    # Row by row what the graph returns, whatever the batches.
    other = Analyzer(analyzer.classifier, batch_size=1).embed(note)
    np.testing.assert_allclose(other.vectors, vectors, atol=1e-4)
    signal = note[segments[0].start : segments[0].end][None]
    (first,) = analyzer.classifier.run(signal, "embedding")
    np.testing.assert_allclose(vectors[:1], first, atol=1e-4)
    silence = analyzer.embed(np.zeros(32_000, np.float32))
    assert silence.segments == ()
    assert silence.vectors.shape == (0, width)
