"""From many channels to one: nothing cancels, combs or drowns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.audio.channels import ChannelMixer
from espressivo.audio.recording import load_audio


def _mixed(channels, rate=16_000, cuts=()):
    mixer = ChannelMixer(len(channels), rate)
    parts = np.split(np.stack(channels).astype(np.float32), sorted(cuts), axis=1)
    signal = np.concatenate([*map(mixer.push, parts), mixer.finish()])
    return signal, mixer


def _choice(mixer):
    return max(mixer.used, key=lambda name: mixer.used[name])


def _delayed(signal, n):
    return np.roll(np.pad(signal, (0, abs(n))), n)[: len(signal)]


@pytest.fixture(scope="module")
def speech(note):
    return note[: 10 * 16_000]


@pytest.fixture(scope="module")
def noise(speech):
    rng = np.random.default_rng(0)
    return (speech.std() * rng.standard_normal(len(speech))).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 16])
def test_copies_are_mixed_to_themselves(speech, n):
    signal, mixer = _mixed([speech] * n)

    np.testing.assert_allclose(signal, speech, atol=1e-6)
    assert set(mixer.used) == {"mono" if n == 1 else "mixed"}
    assert not mixer.reasons


@pytest.mark.parametrize("gain", [-1.0, -0.5, -2.0])
def test_an_inverted_channel_does_not_cancel(speech, gain):
    signal, mixer = _mixed([speech, gain * speech])

    louder = 0 if abs(gain) <= 1 else 1
    np.testing.assert_array_equal(signal, [speech, np.float32(gain) * speech][louder])
    assert set(mixer.used) == {["left", "right"][louder]}
    assert set(mixer.reasons) == {"cancel"}


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("delay_ms", [0.25, 0.5, 1, 5, 25, -1, -25])
def test_a_delayed_channel_makes_no_comb(speech, rate, delay_ms):
    n = round(len(speech) * rate / 16_000)
    at_rate = np.interp(np.arange(n) * 16_000 / rate, np.arange(len(speech)), speech)
    other = _delayed(at_rate, round(delay_ms * rate / 1000))

    signal, mixer = _mixed([at_rate, other], rate)

    assert set(mixer.used) in ({"left"}, {"right"})
    wanted = at_rate if "left" in mixer.used else other
    np.testing.assert_array_equal(signal, wanted.astype(np.float32))
    assert set(mixer.reasons) == {"cancel"}


def test_one_quiet_channel_among_many_keeps_its_bits(speech):
    quiet = np.round(1e-3 * speech * 2**15).astype(np.float32) / np.float32(2**15)
    channels = [np.zeros_like(quiet)] * 16
    channels[7] = quiet

    signal, mixer = _mixed(channels)

    np.testing.assert_array_equal(signal, quiet)
    assert set(mixer.used) == {"channel 8"}
    assert not mixer.reasons


@pytest.mark.parametrize("level", [0.1, 0.3, 1.0, 3.0])
def test_the_channel_with_speech_is_not_drowned(speech, noise, level):
    for channels, name in (
        ([speech, level * noise], "left"),
        ([level * noise, speech], "right"),
    ):
        signal, mixer = _mixed(channels)

        np.testing.assert_array_equal(signal, speech)
        assert set(mixer.used) == {name}


def test_the_centre_of_a_film_is_heard(speech, noise):
    music = [np.roll(noise, 1000 * i) * 0.5 for i in range(5)]
    signal, mixer = _mixed([music[0], music[1], speech, music[2], music[3], music[4]])

    np.testing.assert_array_equal(signal, speech)
    assert set(mixer.used) == {"channel 3"}
    assert set(mixer.reasons) == {"speech"}


@pytest.mark.parametrize("crosstalk", [0.0, 0.01, 0.1, 0.3])
def test_two_people_on_two_microphones_are_both_heard(shared, crosstalk):
    files = sorted((shared / "speech").glob("*.flac"))
    a, b = (np.concatenate([load_audio(f) for f in files[i : i + 4]]) for i in (0, 40))
    n = min(len(a), len(b))
    first = np.arange(n) // (5 * 16_000) % 2 == 0
    a, b = np.where(first, a[:n], 0), np.where(first, 0, b[:n])
    left = a + crosstalk * _delayed(b, 50)
    right = b + crosstalk * _delayed(a, 50)

    signal, _ = _mixed([left, right])

    # The mean halves a talker; a lost one would be 15 dB and more below.
    for talker, when in ((a, first), (b, ~first)):
        level = np.square(signal[when]).mean() / np.square(talker[when]).mean()
        assert level > 0.2


def test_inverted_speech_beside_noise_does_not_cancel(speech, noise):
    signal, _ = _mixed([3 * noise, speech, -speech])

    np.testing.assert_array_equal(np.abs(signal), np.abs(speech))


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 160_000), max_size=6))
def test_blocks_change_nothing(speech, noise, cuts):
    channels = [
        np.concatenate([speech[:50_000], -speech[50_000:]]),
        np.concatenate([noise[:30_000], speech[30_000:]]),
    ]
    whole, _ = _mixed(channels)

    np.testing.assert_array_equal(_mixed(channels, cuts=cuts)[0], whole)


def test_nothing_is_lost_at_a_change(speech, noise):
    signal, mixer = _mixed(
        [speech, np.concatenate([0.2 * noise[:80_000], -speech[80_000:]])]
    )

    assert len(signal) == len(speech)
    assert mixer.used.total() == len(speech)
    # Either choice is the left channel, so the change itself must be silent.
    np.testing.assert_allclose(signal, speech, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_a_few_samples(n):
    signal, mixer = _mixed([np.ones(n), -np.ones(n)])

    assert len(signal) == n
    assert mixer.used.total() == n


def test_silence_says_nothing_about_channels(speech):
    silence = np.zeros(40 * 16_000, np.float32)
    left = np.concatenate([silence, speech])

    _, mixer = _mixed([left, -left])

    assert mixer.used["left"] > 0.85 * mixer.used.total()
    assert mixer.reasons["cancel"] == mixer.used["left"]


def test_a_square_wave_does_not_hide_speech(speech):
    time_code = np.sign(np.sin(2 * np.pi * 1200 * np.arange(len(speech)) / 16_000))

    signal, mixer = _mixed([0.1 * speech, 0.5 * time_code.astype(np.float32)])

    np.testing.assert_array_equal(signal, np.float32(0.1) * speech)
    assert set(mixer.reasons) == {"speech"}
