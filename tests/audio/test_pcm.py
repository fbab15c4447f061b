from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from espressivo.audio import load_audio
from espressivo.audio.microphone import pcm_blocks
from espressivo.audio.pcm import PcmCheck
from espressivo.audio.signatures import signature_of
from espressivo.errors import AudioError
from tests.recordings import ENCODERS, encode


def push(content, size):
    check = PcmCheck("send it elsewhere")
    for at in range(0, len(content), size):
        check.push(content[at : at + size])


def pcm_of(signal, gain=1.0):
    return (np.clip(signal * gain, -1, 1) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("gain", [1e-4, 0.003, 1, 30, 1000])
@pytest.mark.parametrize("size", [2, 640, 4096, 320_000])
def test_speech_at_any_level_and_in_any_pieces_is_pcm(note, gain, size):
    push(pcm_of(note[:80_000], gain), size)


@pytest.mark.parametrize("kind", ["white", "square", "dc", "silence", "clicks"])
def test_sound_that_is_no_speech_is_pcm(kind):
    time, rng = np.arange(64_000), np.random.default_rng(3)
    signal = {
        "white": rng.uniform(-1, 1, len(time)),
        "square": 0.4 * np.sign(np.sin(time)),
        "dc": np.full(len(time), 0.45),
        "silence": np.zeros(len(time)),
        "clicks": time % 1600 == 0,
    }[kind]

    push(pcm_of(signal), 640)


def test_the_noises_of_esc_50_are_pcm_and_their_floats_are_not(shared):
    paths = sorted((shared / "noise").glob("*/*"))[::7]
    assert paths
    for path in paths:
        signal = load_audio(path)
        push(pcm_of(signal), 3200)
        if np.abs(signal).max() > 1e-4:
            with pytest.raises(AudioError, match="not raw PCM: 16 kHz"):
                push(signal.tobytes(), 3200)


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
@pytest.mark.parametrize("silence_s", [0, 3])
@pytest.mark.parametrize("gain", [1e-3, 1, 100])
@pytest.mark.parametrize("size", [64, 4096, 100_000])
def test_floats_are_told_also_after_silence(note, kind, silence_s, gain, size):
    speech = np.clip(note[:48_000] * gain, -1, 1)
    signal = np.concatenate([np.zeros(16_000 * silence_s), speech])

    with pytest.raises(AudioError, match=r"floating-point numbers.*int16"):
        push(signal.astype(kind).tobytes(), size)


@pytest.mark.parametrize("pair", ["<i4", "half silent stereo"])
def test_wide_samples_and_a_silent_channel_are_told(note, pair):
    samples = np.frombuffer(pcm_of(note[:32_000]), "<i2")
    if pair == "<i4":
        content = (samples.astype("<i4") << 16).tobytes()
    else:
        content = np.stack([np.zeros_like(samples), samples], axis=1).tobytes()

    with pytest.raises(AudioError, match="zero in place of every second sample"):
        push(content, 640)


@pytest.mark.parametrize("suffix", ENCODERS)
@pytest.mark.parametrize("size", [1, 501, 65_536])
def test_containers_are_told_by_their_names(tmp_path, note, suffix, size):
    path = encode(tmp_path / f"note.{suffix}", note[:32_000])

    with pytest.raises(AudioError, match=r"the stream begins as .*; send it elsewhere"):
        push(path.read_bytes(), size)


@pytest.mark.parametrize(
    "text", ['{"audio": "UklGR', "data:audio/webm;base64,GkXf", "UklGRiQAAABXQVZF"]
)
def test_text_is_told(text):
    with pytest.raises(AudioError, match="the stream is text"):
        push((text * 40).encode(), 128)


@given(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=40), st.integers(1, 9))
def test_short_streams_of_any_samples_end_without_a_fault(samples, size):
    content = np.array([0, 0, *samples], "<i2").tobytes()
    # So few bytes can only be refused for a magic number, and those are rare.
    assume(signature_of(content) is None)

    push(content, size)


def test_raw_pcm_from_a_pipe_is_checked(tmp_path, note):
    path = tmp_path / "note.pcm"
    path.write_bytes(pcm_of(note[:32_000]))
    with path.open("rb") as pipe:
        assert sum(map(len, pcm_blocks(pipe))) == 32_000
    path.write_bytes(note[:32_000].tobytes())
    with path.open("rb") as pipe, pytest.raises(AudioError, match=r"^stdin: .*float"):
        list(pcm_blocks(pipe))
