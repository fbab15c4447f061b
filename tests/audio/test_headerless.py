from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from espressivo.audio import Recording, load_audio
from espressivo.audio.headerless import (
    FORMATS,
    HEADERLESS_SUFFIXES,
    RawFormat,
    parse_format,
    raw_format,
    remedy,
)
from espressivo.errors import AudioError
from tests.recordings import ENCODERS, encode

# suffixes -> FFmpeg's encoder, muxer and rate in Hz, and its options to read it again
TELEPHONY = {
    "ul ulaw mulaw mu pcmu ulw g711u": ("pcm_mulaw", "mulaw", 8000, {}),
    "al alaw alw pcma g711a": ("pcm_alaw", "alaw", 8000, {}),
    "g722 722 G722": ("g722", "g722", 16_000, None),
    "sln slin sln8 SLN": ("pcm_s16le", "s16le", 8000, {}),
    "sln12 slin12": ("pcm_s16le", "s16le", 12_000, {}),
    "sln16 slin16": ("pcm_s16le", "s16le", 16_000, {}),
    "sln44": ("pcm_s16le", "s16le", 44_100, {}),
    "sln192": ("pcm_s16le", "s16le", 192_000, {}),
    "g726 g726-32": ("g726le", "g726le", 8000, None),
    "g726-16": ("g726le", "g726le", 8000, None),
    "g726-40": ("g726le", "g726le", 8000, None),
}
BY_SUFFIX = [(s, how) for names, how in TELEPHONY.items() for s in names.split()]


def encode_headerless(path, signal, codec, muxer, rate):
    """Write a mono 16 kHz signal without a header, with FFmpeg's encoder."""
    bits = {"16": "2", "40": "5"}.get(path.suffix.partition("-")[2], "4")
    options = {"code_size": bits} if codec == "g726le" else {}
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(signal[None], format="flt", layout="mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler("s16", "mono", rate, 320)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def decoded(path, name, options):
    """Decode as FFmpeg does that is told the format, to mono floats of 16 kHz."""
    with av.open(str(path), format=name, options=options) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        frames = [f for x in container.decode(audio=0) for f in resampler.resample(x)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize(("suffix", "how"), BY_SUFFIX)
def test_a_name_tells_what_ffmpeg_must_be_told(tmp_path, note, suffix, how):
    codec, muxer, rate, options = how
    path = tmp_path / f"call.{suffix}"
    encode_headerless(path, note[:48_000], codec, muxer, rate)
    if options is not None:
        options = {"sample_rate": str(rate), "ch_layout": "mono"}
    elif codec == "g726le":
        bits = {"16": "2", "40": "5"}.get(suffix.partition("-")[2], "4")
        options = {"code_size": bits}

    signal = load_audio(path)

    expected = decoded(path, muxer, options or {})
    n = min(len(signal), len(expected))
    assert abs(len(signal) - len(expected)) < 40
    np.testing.assert_allclose(signal[:n], expected[:n], atol=2e-4)
    # It is the same speech, and so at the right rate. G.722 delays it by 22 samples.
    assert len(signal) == pytest.approx(48_000, abs=700)
    lags = (np.corrcoef(signal[lag:47_000], note[: 47_000 - lag]) for lag in (0, 22))
    assert max(found[0, 1] for found in lags) > 0.8


@pytest.mark.parametrize(
    ("suffix", "name", "n_bytes", "begin"),
    [("gsm", "gsm", 33, 0xD0), ("g729", "g729", 10, 0), ("g728", "g728", 5, 0)],
)
def test_frames_that_ffmpeg_cannot_write_are_read_as_it_does(
    tmp_path, suffix, name, n_bytes, begin
):
    frames = np.random.default_rng(2).integers(0, 256, (150, n_bytes), np.uint8)
    frames[:, 0] = begin | frames[:, 0] & 0x0F
    path = tmp_path / f"call.{suffix}"
    path.write_bytes(frames.tobytes())

    signal = load_audio(path)

    expected = decoded(path, name, {})
    assert len(signal) > 1000
    np.testing.assert_allclose(signal, expected[: len(signal)], atol=2e-4)


def test_the_case_of_asterisk(shared):
    path = shared / "cases" / "headerless.g722"

    recording = Recording(path)
    signal = np.concatenate(list(recording.blocks()))

    assert len(signal) == 3 * 16_000
    assert recording.warnings == []
    np.testing.assert_allclose(signal, decoded(path, "g722", {}), atol=2e-4)


@pytest.mark.parametrize("container", ENCODERS)
@pytest.mark.parametrize("suffix", ["ul", "g722", "sln", "gsm", "raw"])
def test_a_container_is_opened_as_such_whatever_its_name(
    tmp_path, note, container, suffix
):
    path = encode(tmp_path / f"note.{container}", note[:48_000])
    expected = load_audio(path)
    renamed = shutil.copy(path, tmp_path / f"note.{suffix}")

    np.testing.assert_array_equal(load_audio(renamed), expected)
    said = Recording(renamed, headerless="alaw").blocks()
    np.testing.assert_array_equal(np.concatenate(list(said)), expected)


@pytest.mark.parametrize("source", ["path", "name", "file"])
def test_a_format_that_is_said_goes_before_the_name(tmp_path, note, source):
    path = tmp_path / "call.ul"
    encode_headerless(path, note[:48_000], "pcm_alaw", "alaw", 8000)
    expected = decoded(path, "alaw", {"sample_rate": "8000", "ch_layout": "mono"})
    if source == "file":
        opened = Recording(path.open("rb"), "stdin", headerless="alaw")
    else:
        name = "call 1.5" if source == "name" else None
        opened = Recording(path, name, headerless="alaw")

    signal = np.concatenate(list(opened.blocks()))

    np.testing.assert_allclose(signal[:47_000], expected[:47_000], atol=2e-4)


@pytest.mark.parametrize("width", ["s16le", "s24le", "s32be", "f32le", "u8", "f64be"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_samples_of_any_width_and_rate_can_be_said(tmp_path, note, width, n_channels):
    path = tmp_path / "note.raw"
    packed = np.repeat(note[:48_000], n_channels)
    with av.open(str(path), "w", format=width) as container:
        stream = container.add_stream(
            f"pcm_{width}", rate=16_000, layout="mono" if n_channels == 1 else "stereo"
        )
        frame = av.AudioFrame.from_ndarray(
            packed[None], format="flt", layout=stream.layout.name
        )
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(stream.format, stream.layout.name, 16_000)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))

    blocks = Recording(path, headerless=f"{width}:16000:{n_channels}").blocks()

    atol = 0.01 if width == "u8" else 1e-4
    np.testing.assert_allclose(np.concatenate(list(blocks)), note[:48_000], atol=atol)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (
            "raw",
            "what .raw means, its name does not say: .*--headerless, such as s16le",
        ),
        ("PCM", "what .pcm means"),
        ("vox", "FFmpeg reads no Dialogic ADPCM; convert it: sox"),
        ("bin", "pass wav, flac"),
    ],
)
def test_what_the_name_does_not_tell_says_what_to_do(tmp_path, note, suffix, message):
    path = tmp_path / f"note.{suffix}"
    path.write_bytes((note[20_000:50_000] * 32767).astype("<i2").tobytes())

    with pytest.raises(AudioError, match=message):
        Recording(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mp3", "is none of the headerless formats .mulaw, alaw, s16le"),
        ("", "is none of the headerless formats"),
        ("s16le", "needs its rate in Hz"),
        ("f32le:", "needs its rate in Hz"),
        ("s16le:8000:1:2", "needs its rate in Hz"),
        ("s16le:0", "its rate is '0'; pass a whole number from 1"),
        ("s16le:8k", "its rate is '8k'"),
        ("s16le:-8000", "its rate is '-8000'"),
        ("mulaw:²", "its rate is '²'"),
        ("s16le:8000:99", "its number of channels is '99'"),
        ("g722:8000", "g722 has a rate of its own; pass g722"),
    ],
)
def test_a_format_that_makes_no_sense_says_what_is_possible(text, message):
    with pytest.raises(
        AudioError, match=f"^format '{text}': {message}".replace("²", ".")
    ):
        parse_format(text)


def test_formats_have_their_usual_rates():
    telephone = {"sample_rate": "8000", "ch_layout": "mono"}
    assert parse_format("MuLaw ") == RawFormat("mulaw", telephone)
    assert parse_format("alaw:16000") == RawFormat(
        "alaw", {"sample_rate": "16000", "ch_layout": "mono"}
    )
    assert parse_format("gsm") == RawFormat("gsm")


def test_every_format_and_suffix_is_one_of_this_ffmpeg():
    assert set(FORMATS) <= av.formats_available
    for suffix in HEADERLESS_SUFFIXES:
        found = raw_format(Path(f"call{suffix}"), b"")
        assert found is not None
        assert found.name in FORMATS
        assert remedy(Path(f"call{suffix}")).startswith("pass wav")
    assert raw_format(Path("call.wav"), b"") is None
