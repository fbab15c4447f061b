from __future__ import annotations

import re
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from espressivo.audio.arrays import from_array
from espressivo.audio.demuxer import _DECODERS
from espressivo.audio.recording import Recording, load_audio
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE
from tests.odd_recordings import Track, write
from tests.recordings import ENCODERS, encode, encode_picture

TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype(np.float32)


@pytest.mark.parametrize("suffix", ENCODERS)
def test_every_format_decodes_to_the_signal_that_was_written(tmp_path, suffix):
    signal = load_audio(encode(tmp_path / f"tone.{suffix}", TONE))

    # Lossy codecs pad by up to a few frames at either end.
    assert abs(len(signal) - len(TONE)) < 0.15 * 16_000
    middle = signal[8_000:24_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(np.argmax(spectrum) - 440) <= 1  # 16,000 samples: one bin a hertz
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.4, rel=0.2)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("aac", "m4a"),
        ("aac", "mov"),
        ("mp3", "mp4"),
        ("opus", "mp4"),
        ("alac", "m4a"),
        ("amr", "3gp"),
    ],
)
def test_mp4_is_as_long_as_what_was_encoded(tmp_path, codec, suffix):
    """FFmpeg 9 cuts the encoder's padding of some codecs, earlier ones of none."""
    path = write(tmp_path / f"x.{suffix}", Track(TONE, codec))

    assert len(load_audio(path)) == pytest.approx(len(TONE), abs=1)


def test_the_example_is_as_long_as_it_declares(note):
    assert len(note) == 391_280  # ffprobe -show_streams: duration_ts


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_averaged(tmp_path, channels):
    signal = load_audio(encode(tmp_path / "tone.flac", TONE, channels=channels))

    assert np.abs(signal[1000:31_000]).max() == pytest.approx(0.4, abs=0.005)


@pytest.mark.parametrize("rate", [4_000, 8_000, 44_100, 96_000, 192_000])
def test_any_rate(tmp_path, rate):
    signal = load_audio(encode(tmp_path / "tone.wav", TONE, rate=rate))

    assert abs(len(signal) - len(TONE)) <= 40
    np.testing.assert_allclose(signal[1000:31_000], TONE[1000:31_000], atol=0.01)


@pytest.mark.parametrize("suffix", ["m4a", "opus"])
def test_a_file_is_the_same_where_ffmpeg_cannot_share_descriptors(
    monkeypatch, tmp_path, suffix
):
    path = encode(tmp_path / f"x.{suffix}", TONE)
    if suffix == "opus":
        path.write_bytes(2 * path.read_bytes())  # two links, each a part of the file
    usual = load_audio(path)

    monkeypatch.setattr(
        "espressivo.audio.demuxer._SHARES_DESCRIPTORS", False
    )  # Windows

    np.testing.assert_array_equal(load_audio(path), usual)
    assert len(usual) >= len(TONE) * (2 if suffix == "opus" else 1)


def test_a_film_with_sound_is_a_recording(tmp_path):
    signal = load_audio(encode(tmp_path / "film.mp4", TONE, video=True))

    assert abs(len(signal) - len(TONE)) < 2400


def test_block_size_changes_nothing(tmp_path):
    path = encode(tmp_path / "tone.mp3", TONE)
    whole = load_audio(path)

    for block_s in (0.001, 0.1, 0.7, 60):
        blocks = list(Recording(path).blocks(block_s))
        assert {len(b) for b in blocks[:-1]} <= {round(block_s * 16_000)}
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_real_stereo_and_mono_clips_read_alike(shared):
    path = shared / "corpora/emodb/03a01Fa.opus"

    signal = load_audio(path)

    assert signal.dtype == np.float32
    assert len(signal) / 16_000 == pytest.approx(1.898, abs=0.02)  # as published


def _cut(path, share=0.5):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg", "flac"])
def test_a_truncated_recording_gives_what_decodes_and_a_warning(tmp_path, suffix):
    path = _cut(encode(tmp_path / f"tone.{suffix}", TONE))
    recording = Recording(path)

    n_samples = sum(len(block) for block in recording.blocks())

    assert 0.3 * len(TONE) < n_samples < 0.8 * len(TONE)
    assert any(str(path) in warning for warning in recording.warnings)


def test_an_intact_recording_gives_no_warning(tmp_path):
    for suffix in ENCODERS:
        recording = Recording(encode(tmp_path / f"tone.{suffix}", TONE))
        assert sum(1 for _ in recording.blocks()) == 1
        assert recording.warnings == []


def test_what_is_too_long_is_not_decoded(tmp_path):
    for suffix, announces in (
        ("ogg", True),
        ("wav", True),
        ("mp3", True),
        ("amr", False),
    ):
        path = encode(tmp_path / f"tone.{suffix}", np.tile(TONE, 5))  # 10 s
        sum(map(len, Recording(path, max_duration_s=9.8).blocks()))  # encoders pad

        if announces:
            with pytest.raises(AudioError, match="is 10 s long, more than the 5 s"):
                Recording(path, max_duration_s=5)
        else:
            recording = Recording(path, max_duration_s=5)
            with pytest.raises(AudioError, match="longer than the 5 s") as error:
                list(recording.blocks())
            assert error.value.kind == "too long"


def test_garbage_in_the_middle_costs_only_the_middle(tmp_path):
    path = encode(tmp_path / "tone.mp3", TONE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(np.random.default_rng(0).bytes(2000))
    path.write_bytes(data)

    assert len(load_audio(path)) > 0.7 * len(TONE)


def _missing(folder):
    return folder / "none.wav"


def _loop(folder):
    (folder / "loop.wav").symlink_to("loop.wav")
    return folder / "loop.wav"


def _directory(folder):
    return folder


def _empty(folder):
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def _text(folder):
    (folder / "text.wav").write_text("Dear diary, today I was angry.\n" * 40)
    return folder / "text.wav"


def _silent_film(folder):
    return encode_picture(folder / "film.mp4")


def _moovless(folder):
    return _cut(encode(folder / "tone.m4a", TONE))


def _playlist(folder):
    target = encode(folder / "tone.mp3", TONE)
    (folder / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n"
    )
    return folder / "list.m3u8"


def _nan_samples(folder):
    broken = TONE.copy()
    broken[9_000:10_000] = np.nan
    return encode(folder / "nan.mka", broken)


BAD_FILES = {
    _missing: "no such file",
    _loop: r"cannot be opened \(too many .*symbolic links\)",
    _directory: "is a directory",
    _empty: "the file is empty",
    _text: "cannot be read as a recording|holds no audio stream",
    _silent_film: r"holds no audio stream \(it holds: video\)",
    _moovless: "cannot be read as a recording",
    _nan_samples: r"NaN or infinite samples near 0\.[56]",
}


@pytest.mark.parametrize("make", BAD_FILES, ids=lambda make: make.__name__[1:])
def test_a_bad_file_is_one_clear_line(tmp_path, make):
    path = make(tmp_path)

    with pytest.raises(AudioError, match=BAD_FILES[make]) as caught:
        load_audio(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_few_samples_that_are_not_finite_become_silence(tmp_path):
    broken = TONE.copy()
    broken[[9_000, 9_001, 12_000]] = np.nan, np.inf, -np.inf
    recording = Recording(encode(tmp_path / "nan.mka", broken))

    signal = np.concatenate(list(recording.blocks()))

    assert np.isfinite(signal).all()
    assert re.search(
        r": 3 samples are NaN or infinite.* 0\.562 s", recording.warnings[0]
    )


def test_integers_are_full_scale_pcm():
    for dtype, value in (("int16", 2**14), ("int32", 2**30), ("uint8", 192)):
        np.testing.assert_array_equal(
            from_array(np.full(10, value, dtype), 16_000), np.full(10, 0.5, np.float32)
        )


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 100)), r"shape is \(2, 100\), not \[samples\]"),
        (np.float32(0.5), r"shape is \(\)"),
        (np.zeros(10, np.int64), "type is int64"),
        (np.zeros(10, np.complex64), "type is complex64"),
        (np.zeros(10, bool), "type is bool"),
        (np.array(["a"]), "type is str"),
        (np.array([0, np.nan]), "sample 1 is NaN or infinite"),
        (np.array([-np.inf, 0]), "sample 0 is NaN or infinite"),
        (np.array([0.0, 1e39]), r"largest sample is 1e\+39"),
        (np.array([0.0, 20_000.0]), "largest sample is 20000"),
    ],
)
def test_a_bad_array_is_one_clear_line(samples, message):
    with pytest.raises(AudioError, match=message):
        from_array(samples, 16_000)


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int16, np.uint8]),
        arrays.array_shapes(max_dims=2, max_side=50),
    )
)
def test_an_array_is_a_signal_or_an_audio_error(samples):
    try:
        signal = from_array(samples, 16_000)
    except AudioError:
        return
    assert signal.dtype == np.float32
    assert signal.shape == (samples.size,)  # two axes: one of them has one channel
    assert np.isfinite(signal).all()


def test_opus_is_decoded_by_libopus_as_browsers_do(tmp_path, note):
    path = encode(tmp_path / "note.opus", note)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        libopus = av.codec.Codec("libopus", "r").create("audio")
        libopus.extradata = stream.codec_context.extradata
        libopus.sample_rate, libopus.layout = 48_000, "mono"
        libopus.options = {"request_sample_fmt": "flt"}  # as browsers do
        frames = [f for p in container.demux(stream) for f in libopus.decode(p)]
    pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames])

    np.testing.assert_array_equal(load_audio(path), from_array(pcm, 48_000))


@pytest.mark.parametrize("decoders", [_DECODERS, {}], ids=["usual", "FFmpeg's own"])
@pytest.mark.parametrize("suffix", ["amr", "3gp"])
def test_pauses_that_were_not_transmitted_are_no_damage(
    monkeypatch, tmp_path, note, suffix, decoders
):
    monkeypatch.setattr("espressivo.audio.demuxer._DECODERS", decoders)
    speech = note[2_000:34_000]
    sound = np.concatenate([speech, np.zeros(48_000, np.float32), speech])
    path = write(tmp_path / f"x.{suffix}", Track(sound, "amr", options={"dtx": "1"}))

    recording = Recording(path)
    signal = np.concatenate(list(recording.blocks()))

    assert recording.warnings == []
    assert recording.gaps == []
    assert len(signal) == pytest.approx(len(sound), abs=0.05 * SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(signal) > 0.05) / SAMPLE_RATE
    assert not ((loud > 2.3) & (loud < 5)).any()
    assert loud.max() > 6


def test_an_empty_array_is_empty_at_any_rate():
    assert from_array(np.zeros(0, np.float32), 44_100).shape == (0,)


def test_an_array_at_another_rate_is_resampled_like_a_file(tmp_path):
    high = np.repeat(TONE, 3)  # 48 kHz, good enough: both paths get the same
    path = encode(tmp_path / "tone.mka", high, rate=16_000)  # float, no loss

    from_file = load_audio(path)
    assert len(from_file) == len(high)
    signal = from_array(high, 48_000)

    assert abs(len(signal) - len(TONE)) <= 20
    np.testing.assert_allclose(signal[1000:31_000], TONE[1000:31_000], atol=0.05)


@pytest.mark.parametrize("rate", [0, -1, 44_100.5])
def test_a_rate_that_is_none(rate):
    with pytest.raises(AudioError, match="sample rate"):
        from_array(TONE, rate)


def test_a_playlist_opens_nothing_else(tmp_path):
    with pytest.raises(AudioError):
        load_audio(_playlist(tmp_path))


def _wav(*, tag=1, channels=1, rate=16_000, chunk=b"", samples=b"\0\0" * 16_000):
    """Write a WAV file by hand, whatever it says."""
    block = 2 * channels
    form = struct.pack("<HHIIHH", tag, channels, rate, rate, block, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + chunk
    body += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_wav(tag=0x7F7F), "codec that FFmpeg does not know"),
        (_wav(channels=130), "130 channels at 16000 Hz cannot be brought"),
        (_wav(rate=2), "1 channels at 2 Hz cannot be brought to one .*below 1000 Hz"),
        (_wav(rate=2_139_062_143), "1 channels at 2139062143 Hz cannot be brought"),
    ],
)
def test_headers_that_the_fuzzer_found(tmp_path, content, message):
    path = tmp_path / "item.wav"
    path.write_bytes(content)

    with pytest.raises(AudioError, match=message):
        load_audio(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_header_that_asks_for_gigabytes_gets_none(tmp_path):
    path = tmp_path / "item.wav"
    chunk = (
        b"LIST" + struct.pack("<I", 0x8000_001A) + b"INFOISFT\x0e\0\0\0Lavf62.12.102\0"
    )
    path.write_bytes(_wav(chunk=chunk + b"\xda\x64\x61\x74"))
    # Not ru_maxrss, which starts with what this process takes.
    code = (
        "import re, sys; from espressivo.audio.recording import load_audio\n"
        "try: load_audio(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__)\n"
        "status = open('/proc/self/status').read()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=True
    )

    assert int(done.stdout.split()[-1]) * 1024 < 500e6
