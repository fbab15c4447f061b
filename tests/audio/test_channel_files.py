"""Recordings of several channels, through real codecs: one signal, near one of them."""

from __future__ import annotations

import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from tests.odd_recordings import Track, write
from tests.players import check_places, heard

# Codecs and containers of stereo recordings, with and without loss.
STEREO = [
    ("s16", "wav"),
    ("flac", "flac"),
    ("aac", "m4a"),
    ("opus", "webm"),
    ("mp3", "mp3"),
    ("vorbis", "ogg"),
]


@pytest.fixture(scope="module")
def noise(speech):
    rng = np.random.default_rng(0)
    return (speech.std() * rng.standard_normal(len(speech))).astype(np.float32)


@pytest.fixture(scope="module")
def music(speech):
    """A chord that is struck twice a second, as loud as the speech [samples]."""
    t = np.arange(len(speech)) / SAMPLE_RATE
    notes = sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6, 440, 880))
    struck = notes * np.exp(-4 * (t % 0.5))
    return (struck * speech.std() / struck.std()).astype(np.float32)


def _stereo(tmp_path, left, right, codec, suffix):
    sound = np.stack([left, right]).astype(np.float32)
    return write(tmp_path / f"item.{suffix}", Track(sound, codec))


def _level(signal, speech):
    """Return the level of a signal against that of the speech, in dB."""
    return 10 * np.log10(np.square(signal).sum() / np.square(speech).sum())


@pytest.mark.parametrize(("codec", "suffix"), STEREO)
def test_copies(tmp_path, speech, codec, suffix):
    signal, recording = heard(_stereo(tmp_path, speech, speech, codec, suffix))

    check_places(signal, speech, float, alike=0.9)
    assert recording.channels == "mixed"
    assert recording.warnings == []
    assert abs(_level(signal, speech)) < 1


@pytest.mark.parametrize(("codec", "suffix"), STEREO)
@pytest.mark.parametrize("side", ["left", "right"])
def test_one_silent_channel(tmp_path, speech, codec, suffix, side):
    pair = [speech, 0 * speech]
    path = _stereo(tmp_path, *(pair if side == "left" else pair[::-1]), codec, suffix)

    signal, recording = heard(path)

    check_places(signal, speech, float, alike=0.9)
    assert recording.channels == side
    assert recording.warnings == []
    assert abs(_level(signal, speech)) < 1


@pytest.mark.parametrize(("codec", "suffix"), STEREO)
@pytest.mark.parametrize("gain", [-1.0, -0.3])
def test_inverted_phase(tmp_path, speech, codec, suffix, gain):
    signal, recording = heard(_stereo(tmp_path, speech, gain * speech, codec, suffix))

    check_places(signal, speech, float, alike=0.9)
    assert recording.channels in ({"left"} if gain > -1 else {"left", "right"})
    assert abs(_level(signal, speech)) < 1
    (warning,) = recording.warnings
    assert "cancel" in warning


@pytest.mark.parametrize("encoder", STEREO[1:4])
@pytest.mark.parametrize("delay_ms", [0.25, 1, 5, 25])
@pytest.mark.parametrize("later", ["left", "right"])
def test_delays_make_no_comb(tmp_path, speech, encoder, delay_ms, later):
    codec, suffix = encoder
    n = round(delay_ms * SAMPLE_RATE / 1000)
    delayed = np.concatenate([np.zeros(n, np.float32), speech[:-n]])
    pair = [delayed, speech] if later == "left" else [speech, delayed]
    signal, recording = heard(_stereo(tmp_path, *pair, codec, suffix))

    # Against the comb of both: 0.25 ms apart, they still agree to 0.9.
    check_places(signal, speech, float, alike=0.9, tolerance_s=0.06)
    assert recording.channels in {"left", "right"}
    assert abs(_level(signal, speech)) < 1
    (warning,) = recording.warnings
    assert "delay" in warning


def _coloured(speech, seed, colour):
    """Return noise as loud as the speech: white, or pink as rooms and fans make it."""
    white = np.random.default_rng(seed).standard_normal(len(speech))
    spectrum = np.fft.rfft(white)
    if colour == "pink":
        spectrum /= np.sqrt(np.arange(len(spectrum)) + 1)
    noise = np.fft.irfft(spectrum, len(speech))
    return noise * speech.std() / noise.std()


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("level", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("seeds", [(0, 1), (0, 0)], ids=["its own", "common"])
def test_inverted_phase_in_noise(tmp_path, speech, colour, level, seeds):
    own, other = (level * _coloured(speech, seed, colour) for seed in seeds)
    path = _stereo(tmp_path, speech + own, -speech + other, "flac", "flac")

    signal, recording = heard(path)

    check_places(signal, speech, float, alike=0.7)
    assert recording.channels in {"left", "right"}
    (warning,) = recording.warnings
    assert "cancel" in warning


@pytest.mark.parametrize("delay_ms", [1, 5])
@pytest.mark.parametrize("level", [0.1, 0.2, 0.4])
def test_a_delay_in_noise(tmp_path, speech, delay_ms, level):
    n = round(delay_ms * SAMPLE_RATE / 1000)
    later = np.concatenate([np.zeros(n), speech[:-n]])
    own, other = (level * _coloured(speech, seed, "white") for seed in (0, 1))
    path = _stereo(tmp_path, speech + own, later + other, "flac", "flac")

    signal, recording = heard(path)

    check_places(signal, speech, float, alike=0.85)
    assert recording.channels in {"left", "right"}


@pytest.mark.parametrize(("codec", "suffix"), STEREO)
@pytest.mark.parametrize("gain", [0.5, 0.1])
def test_gains(tmp_path, speech, codec, suffix, gain):
    signal, recording = heard(_stereo(tmp_path, speech, gain * speech, codec, suffix))

    check_places(signal, speech, float, alike=0.9)
    assert recording.warnings == []
    assert -7 < _level(signal, speech) < 1


@pytest.mark.parametrize("encoder", STEREO[:3])
@pytest.mark.parametrize("level", [0.3, 1.0])
def test_speech_beside_noise(tmp_path, speech, noise, encoder, level):
    _check_speech_on_the_right(
        _stereo(tmp_path, level * noise, speech, *encoder), speech
    )


@pytest.mark.parametrize("encoder", STEREO[2:5])
@pytest.mark.parametrize("level", [0.3, 1.0])
def test_speech_beside_music(tmp_path, speech, music, encoder, level):
    _check_speech_on_the_right(
        _stereo(tmp_path, level * music, speech, *encoder), speech
    )


def _check_speech_on_the_right(path, speech):
    signal, recording = heard(path)

    check_places(signal, speech, float, alike=0.85)
    assert recording.channels == "right"
    (warning,) = recording.warnings
    assert "only one channel holds speech" in warning


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("aac", "mp4"), ("ac3", "ts"), ("flac", "flac"), ("opus", "mkv")],
)
def test_the_centre_of_a_film(tmp_path, speech, music, codec, suffix):
    around = [0.5 * np.roll(music, 1700 * i) for i in range(5)]
    sound = np.stack([around[0], around[1], speech, *around[2:]])
    path = write(tmp_path / f"film.{suffix}", Track(sound, codec), picture=(0, 6))

    signal, recording = heard(path)

    check_places(signal, speech, float, alike=0.85)
    assert recording.channels == "channel 3"


@pytest.mark.parametrize("codec", ["s16", "s24", "f32"])
@pytest.mark.parametrize("suffix", ["wav", "w64", "mka"])
@pytest.mark.parametrize("index", [0, 9, 15])
def test_one_quiet_channel_among_sixteen(tmp_path, speech, codec, suffix, index):
    sound = np.zeros((16, len(speech)), np.float32)
    sound[index] = 2e-3 * speech
    alone, _ = heard(write(tmp_path / f"one.{suffix}", Track(sound[index], codec)))

    signal, recording = heard(write(tmp_path / f"all.{suffix}", Track(sound, codec)))

    np.testing.assert_array_equal(signal, alone)
    assert recording.channels == f"channel {index + 1}"
    assert recording.warnings == []


@pytest.mark.parametrize(
    ("codec", "step"),
    [
        ("u8", 2**-7),
        ("s16", 2**-15),
        ("s24", 2**-23),
        ("s32", 2**-24),
        ("f32", 0.0),
        ("f64", 0.0),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "mka"])
def test_every_sample_format_keeps_its_bits(tmp_path, speech, codec, step, suffix):
    signal, _ = heard(write(tmp_path / f"item.{suffix}", Track(speech, codec)))

    np.testing.assert_allclose(signal, speech, atol=step, rtol=0)
