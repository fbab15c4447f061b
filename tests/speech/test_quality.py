"""Quality of the sound: chunking, and what each impairment does to real speech."""

from __future__ import annotations

import io
import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.audio.recording import load_audio
from espressivo.pipeline.state import StreamState
from espressivo.speech.detector import FRAME, SpeechDetector
from espressivo.speech.quality import Quality, QualityMeter, QualityState
from espressivo.types import SAMPLE_RATE
from tests.recordings import encode


def quality_of(signal) -> Quality:
    signal = signal.astype(np.float32)
    meter = QualityMeter()
    meter.push(signal, SpeechDetector().push(signal))
    return meter.measure()


def kinds(quality: Quality) -> set[str]:
    return {warning.split(":")[0] for warning in quality.warnings}


def clipped(signal, gain_db: float):
    return np.clip(signal / np.abs(signal).max() * 10 ** (gain_db / 20), -1, 1)


def mixed(speech, noise, snr_db: float):
    """Add noise at a ratio to the frames of speech (not to all)."""
    probabilities = SpeechDetector().push(speech)
    is_speech = np.repeat(probabilities >= 0.5, FRAME)
    power = np.square(speech[: len(is_speech)][is_speech]).mean()
    noise = np.resize(noise, len(speech))
    gain = np.sqrt(power / np.square(noise).mean() / 10 ** (snr_db / 10))
    return (speech + gain * noise).astype(np.float32)


@pytest.fixture(scope="module")
def probabilities(note):
    return SpeechDetector().push(note)


@pytest.fixture(scope="module")
def whole(note, probabilities):
    meter = QualityMeter()
    meter.push(note, probabilities)
    meter.measure()
    return meter


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 24 * SAMPLE_RATE), max_size=60), peek=st.booleans())
def test_neither_chunks_nor_saving_change_anything(
    note, probabilities, whole, cuts, peek
):
    meter, done = QualityMeter(), 0
    for cut in [*sorted(cuts), len(note)]:
        frames = slice(done // FRAME, cut // FRAME)
        meter.push(note[done:cut], probabilities[frames])
        done = cut
        if peek:
            meter.measure()
            meter = QualityMeter(meter.state)

    assert meter.measure() == whole.measure()
    for each in fields(QualityState):
        assert np.array_equal(
            getattr(meter.state, each.name), getattr(whole.state, each.name)
        ), each.name


def test_one_frame_at_a_time_is_the_same(note, probabilities, whole):
    meter = QualityMeter()
    for i, p in enumerate(probabilities):
        meter.push(note[i * FRAME : (i + 1) * FRAME], np.array([p]))

    assert meter.measure() == whole.measure()


def test_a_stream_has_the_quality_of_the_file(analyzer, note):
    stream = analyzer.stream()
    for i, chunk in enumerate(np.array_split(note, 23)):
        stream.push(chunk)
        if i == 11:
            saved = StreamState.from_bytes(stream.state.to_bytes())
            stream = analyzer.stream(state=saved)

    assert stream.finish().quality == analyzer.analyze(note).quality


@pytest.mark.parametrize("n", [0, 100, SAMPLE_RATE])
def test_without_speech_there_is_no_quality(analyzer, n):
    report = analyzer.analyze(np.zeros(n, np.float32))

    assert report.quality == Quality()
    assert set(report.to_dict()["quality"].values()) == {None}
    assert not report.warnings


def test_good_speech_has_no_warnings(whole):
    quality = whole.measure()

    assert quality.bandwidth_hz == 8_000
    assert quality.clipped == 0
    assert quality.snr_db > 30
    assert not quality.warnings


@pytest.mark.parametrize(
    ("suffix", "rate", "edge_hz"),
    [("wav", 8_000, 4_000), ("amr", 8_000, 4_000), ("wav", 11_025, 5_500)],
)
def test_narrow_band_is_found(note, tmp_path, suffix, rate, edge_hz):
    path = encode(tmp_path / f"narrow.{suffix}", note, rate=rate)

    quality = quality_of(load_audio(path))

    assert quality.bandwidth_hz == pytest.approx(edge_hz, abs=400)
    assert kinds(quality) == {"narrow band"}


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "m4a"])
def test_full_band_is_full_in_every_codec(note, tmp_path, suffix):
    quality = quality_of(load_audio(encode(tmp_path / f"full.{suffix}", note)))

    assert quality.bandwidth_hz == 8_000
    assert not quality.warnings


def test_a_dark_voice_is_not_narrow(note):
    dark = np.zeros_like(note)
    for i, sample in enumerate(note[1:], 1):  # 6 dB an octave, from 300 Hz on
        dark[i] = 0.89 * dark[i - 1] + 0.11 * sample

    assert quality_of(dark).bandwidth_hz == 8_000


@pytest.mark.parametrize(
    ("suffix", "scale_db"),
    [
        *((suffix, 0) for suffix in ("wav", "mp3", "ogg", "m4a")),
        *((suffix, -20) for suffix in ("wav", "mp3")),
    ],
)
def test_clipping_is_found_also_after_a_codec(note, tmp_path, suffix, scale_db):
    for gain_db in (15, 20, 30, 40):
        signal = clipped(note, gain_db) * 10 ** ((scale_db - 1) / 20)
        quality = quality_of(load_audio(encode(tmp_path / f"clip.{suffix}", signal)))
        assert "clipped" in kinds(quality), gain_db


def test_the_share_that_is_clipped_is_about_right(note, probabilities):
    is_speech = np.repeat(probabilities >= 0.5, FRAME)[: len(note)]
    for gain_db in (15, 20, 30, 40):
        signal = clipped(note, gain_db)[: len(is_speech)]
        share = (np.abs(signal[is_speech]) == 1).mean()

        assert quality_of(signal).clipped == pytest.approx(share, abs=0.1), gain_db


@pytest.mark.parametrize("offset", [0.02, 0.1, 0.4])
def test_an_offset_is_neither_sound_nor_clipping(note, whole, offset):
    quality = quality_of(0.3 * note + offset)

    assert quality.clipped == 0
    assert quality.level_db == pytest.approx(whole.measure().level_db - 10.5, abs=0.5)
    assert not quality.warnings


@pytest.mark.parametrize("bits", [6, 8])
def test_few_bits_are_not_clipping(note, bits):
    steps = np.abs(note).max() / 2 ** (bits - 1)

    assert quality_of(np.round(note / steps) * steps).clipped < 0.01


@pytest.mark.parametrize("sign", [1, -1])
def test_clipping_of_one_side_is_found(note, sign):
    signal = np.minimum(sign * note, np.abs(note).max() / 10) * sign

    assert "clipped" in kinds(quality_of(signal))


@pytest.mark.parametrize("gain_db", [-40, -20, 0])
def test_loud_is_not_clipped(note, gain_db):
    quality = quality_of(clipped(note, gain_db))

    assert quality.clipped == 0


def test_the_level_follows_the_gain(note):
    levels = [quality_of(note * 10 ** (-g / 20)).level_db for g in (0, 20, 40, 60)]

    np.testing.assert_allclose(np.diff(levels), -20, atol=0.3)


def test_sixteen_bits_far_below_full_scale_are_told(note):
    signal = np.round(note / np.abs(note).max() * 10 ** (-60 / 20) * 2**15) / 2**15

    assert kinds(quality_of(signal)) == {"very quiet"}


@pytest.mark.parametrize("snr_db", [0, 5, 10, 20])
def test_noise_is_estimated(note, snr_db):
    noise = np.random.default_rng(1).normal(size=len(note))

    quality = quality_of(mixed(note, noise, snr_db))

    assert quality.snr_db == pytest.approx(snr_db, abs=1.5)
    assert ("noisy" in kinds(quality)) == (snr_db < 15)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
@pytest.mark.parametrize("kind", ["002_-_Rain", "007_-_Helicopter", "008_-_Chainsaw"])
def test_steady_noise_of_the_world_is_estimated(shared, read_speech, kind, snr_db):
    noise = load_audio(min((shared / "noise" / kind).glob("*.ogg")))

    quality = quality_of(mixed(read_speech, noise, snr_db))

    assert quality.snr_db == pytest.approx(snr_db, abs=4)


def test_pauses_that_are_silenced_are_no_quiet_recording(note, probabilities):
    noisy = mixed(note, np.random.default_rng(1).normal(size=len(note)), 10)
    gated = noisy[: len(probabilities) * FRAME].copy()
    gated[np.repeat(probabilities < 0.2, FRAME)] = 0

    meter = QualityMeter()
    meter.push(gated, probabilities)

    assert meter.measure().snr_db == pytest.approx(10, abs=3)


CORPORA = ["emodb", "emotiontts", "emovo", "nemo", "ravdess", "tess"]


@pytest.mark.parametrize("corpus", CORPORA)
def test_good_recordings_have_no_warnings(shared, corpus):
    folder = shared / "corpora" / corpus
    paths = sorted([*folder.rglob("*.opus"), *folder.rglob("*.flac")])
    warned = [
        (path.name, quality.warnings)
        for path in paths[:: len(paths) // 30]
        if (quality := quality_of(load_audio(path))).warnings
    ]

    assert len(warned) <= 1, warned


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("telephone-8khz.wav", "narrow band"),
        ("read-4s.flac", None),
        ("clean.opus", None),
    ],
)
def test_cases(analyzer, shared, case, kind):
    report = analyzer.analyze(shared / "cases" / case, name="it")

    told = [warning.split(": ")[:2] for warning in report.warnings]
    assert told == [["it", kind]] * bool(kind)


def test_a_stream_of_format_1_continues(analyzer, note):
    stream = analyzer.stream()
    stream.push(note[: 10 * SAMPLE_RATE])
    old = as_format_1(stream.state.to_bytes())
    after = analyzer.stream(state=StreamState.from_bytes(old))
    after.push(note[10 * SAMPLE_RATE :])
    stream.push(note[10 * SAMPLE_RATE :])

    report, whole = after.finish(), stream.finish()

    assert report.estimates == whole.estimates
    assert report.quality.bandwidth_hz == 8_000
    assert report.quality != whole.quality


def as_format_1(content: bytes) -> bytes:
    """Return a saved stream as version 0.1.0 wrote it: without the quality."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {n: file[n] for n in file.files if not n.startswith("quality_")}
    details = json.loads(arrays["details"].tobytes())
    details["schema"] = "espressivo.stream/1"
    arrays["details"] = np.frombuffer(json.dumps(details).encode(), np.uint8)
    changed = io.BytesIO()
    np.savez(changed, **arrays)
    return changed.getvalue()
