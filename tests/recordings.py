"""Recordings for tests, written with FFmpeg's encoders."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from tests.odd_recordings import available

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.types import Signal

# suffix -> encoder, rate (Hz), sample format
ENCODERS = {
    "wav": ("pcm_s16le", 16_000, "s16"),
    "flac": ("flac", 44_100, "s16"),
    "mp3": ("libmp3lame", 44_100, "fltp"),
    "ogg": ("libopus", 48_000, "flt"),
    "opus": ("libopus", 48_000, "flt"),
    "m4a": ("aac", 44_100, "fltp"),
    "amr": ("libopencore_amrnb", 8_000, "s16"),
    "webm": ("libopus", 48_000, "flt"),
    "mp4": ("aac", 48_000, "fltp"),
    "mka": ("pcm_f32le", 16_000, "flt"),
}


def encode(
    path: Path,
    signal: Signal,
    *,
    rate: int | None = None,
    channels: int = 1,
    video: bool = False,
) -> Path:
    """Write a mono 16 kHz signal to `path` in the format its suffix names."""
    codec, own_rate, sample_format = ENCODERS[path.suffix[1:]]
    rate = rate or own_rate
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(available(codec), rate=rate, layout=layout)
        stream.format = sample_format
        picture = _add_picture(container) if video else None
        packed = np.repeat(signal.astype(np.float32), channels)[None]
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = 16_000, 0
        frame.time_base = Fraction(1, 16_000)
        resampler = av.AudioResampler(sample_format, layout, rate, stream.frame_size)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
        if picture is not None:
            _mux_picture(container, picture)
    return path


def encode_picture(path: Path) -> Path:
    """Write a video without an audio stream."""
    with av.open(str(path), "w") as container:
        _mux_picture(container, _add_picture(container))
    return path


def _add_picture(container: av.container.OutputContainer) -> av.VideoStream:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    return stream


def _mux_picture(
    container: av.container.OutputContainer, stream: av.VideoStream
) -> None:
    for i in range(5):
        image = av.VideoFrame.from_ndarray(
            np.full((32, 32, 3), 40 * i, np.uint8), format="rgb24"
        )
        container.mux(stream.encode(image))
    container.mux(stream.encode(None))
