from __future__ import annotations

import io
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.audio.signatures import HEAD_BYTES, is_text, signature_of
from tests.odd_recordings import available

# muxer -> an encoder for it, and what the content is called
MUXERS = {
    "3g2": ("aac", "MP4 or QuickTime"),
    "3gp": ("libopencore_amrnb", "MP4 or QuickTime"),
    "ac3": ("ac3", "AC-3"),
    "adts": ("aac", "AAC"),
    "aiff": ("pcm_s16be", "AIFF"),
    "amr": ("libopencore_amrnb", "AMR"),
    "asf": ("libmp3lame", "WMA, WMV or ASF"),
    "au": ("pcm_mulaw", "AU"),
    "avi": ("libmp3lame", "AVI"),
    "caf": ("pcm_s16be", "CAF"),
    "eac3": ("eac3", "AC-3"),
    "flac": ("flac", "FLAC"),
    "flv": ("aac", "Flash video"),
    "ipod": ("alac", "MP4 or QuickTime"),
    "matroska": ("aac", "Matroska or WebM"),
    "mov": ("pcm_s16le", "MP4 or QuickTime"),
    "mp2": ("mp2", "MP3"),
    "mp3": ("libmp3lame", "MP3"),
    "mpeg": ("mp2", "MPEG video"),
    "mpegts": ("aac", "MPEG transport stream"),
    "mxf_opatom": ("pcm_s16le", "MXF"),
    "ogg": ("libopus", "Ogg"),
    "opus": ("libopus", "Ogg"),
    "rm": ("ac3", "RealMedia"),
    "tta": ("tta", "TTA"),
    "voc": ("pcm_u8", "VOC"),
    "w64": ("pcm_s16le", "Wave64"),
    "wav": ("adpcm_ms", "WAV"),
    "webm": ("libopus", "Matroska or WebM"),
    "wtv": ("mp2", "WTV"),
    "wv": ("wavpack", "WavPack"),
}
RATES = (48_000, 44_100, 16_000, 8000)


def muxed(muxer, codec, rate, signal):
    """Return a mono 16 kHz signal in a container; None if it cannot hold it."""
    written = io.BytesIO()
    try:
        with av.open(written, "w", format=muxer) as container:
            stream = container.add_stream(available(codec), rate=rate, layout="mono")
            stream.format = stream.codec.audio_formats[0]
            frame = av.AudioFrame.from_ndarray(signal[None], "flt", "mono")
            frame.sample_rate = 16_000
            n = stream.frame_size or 1024
            resampler = av.AudioResampler(stream.format, "mono", rate, n)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
    except (av.error.FFmpegError, ValueError):
        return None
    return written.getvalue()


@pytest.mark.parametrize("muxer", MUXERS)
def test_what_ffmpeg_writes_is_told_by_its_first_bytes(note, muxer):
    codec, name = MUXERS[muxer]
    contents = (muxed(muxer, codec, rate, note[:64_000]) for rate in RATES)
    written = [content for content in contents if content]
    assert written

    for content in written:
        assert signature_of(content[:HEAD_BYTES]) == (name, True)


@pytest.mark.parametrize("kbits", [32, 64, 128, 320])
@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_mp3_without_a_tag_is_told_by_its_frames(note, kbits, rate):
    written = io.BytesIO()
    with av.open(written, "w", format="mp3", options={"id3v2_version": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = 1000 * kbits
        frame = av.AudioFrame.from_ndarray(note[None, :64_000], "flt", "mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(stream.format, "mono", rate, stream.frame_size)
        for piece in resampler.resample(frame):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    content = written.getvalue()

    assert content[:2] > b"\xff\xe0"
    assert signature_of(content[:HEAD_BYTES]) == ("MP3", True)


@pytest.mark.parametrize("start", ["MAC address", "ID3 tags", "OggS", "RIFF", "caff"])
def test_text_that_begins_as_a_container_is_text(start):
    assert signature_of(f"{start} are described here.\n".encode() * 9) == (
        "text",
        False,
    )


def test_quiet_noise_is_not_taken_for_frames():
    rng = np.random.default_rng(5)
    for _ in range(3000):
        noise = rng.integers(-40, 40, HEAD_BYTES // 2).astype("<i2").tobytes()
        assert signature_of(noise) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_one_answer(content):
    found = signature_of(content)

    assert found is None or found.name
    if len(content) > 64 and is_text(content):
        assert found is not None
        assert not found.is_media


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1))
def test_any_text_is_text_wherever_it_is_cut(text):
    content = text.encode()
    for end in range(1, len(content) + 1):
        assert is_text(content[:end])


def test_magic_numbers_name_one_format_each():
    from espressivo.audio import signatures

    magics = sorted((*signatures._MEDIA_AT_0, *signatures._OTHERS_AT_0))
    names = signatures._OTHERS_AT_0 | signatures._MEDIA_AT_0
    for short, long in pairwise(magics):
        if long.startswith(short):
            assert names[short] == names[long]
