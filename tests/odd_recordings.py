"""Small odd recordings, written with FFmpeg's encoders and stamped at will.

A recording is written from tracks. Each track has a function from the time in its sound
to the time stamp in the file, so a test knows where each piece of sound belongs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.stream import Disposition

from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Stamp = Callable[[float], float | None]

# name -> encoder, rate (Hz), sample format, options, the fastest that are good enough
CODECS: dict[str, tuple[str, int, str, dict[str, str]]] = {
    "aac": ("aac", 44_100, "fltp", {"aac_coder": "fast"}),
    "ac3": ("ac3", 48_000, "fltp", {}),
    "alac": ("alac", 44_100, "s16p", {}),
    "amr": ("libopencore_amrnb", 8_000, "s16", {}),
    "flac": ("flac", 16_000, "s16", {}),
    "mp2": ("mp2", 48_000, "s16", {}),
    "mp3": ("libmp3lame", 44_100, "fltp", {"compression_level": "9"}),
    "opus": ("libopus", 48_000, "flt", {"compression_level": "0"}),
    "vorbis": ("vorbis", 44_100, "fltp", {"strict": "experimental"}),
    "wma": ("wmav2", 44_100, "fltp", {}),
    "wavpack": ("wavpack", 16_000, "s16p", {}),
    "mulaw": ("pcm_mulaw", 8_000, "s16", {}),
    "u8": ("pcm_u8", 16_000, "u8", {}),
    "s16": ("pcm_s16le", 16_000, "s16", {}),
    "s16be": ("pcm_s16be", 16_000, "s16", {}),
    "s24": ("pcm_s24le", 16_000, "s32", {}),
    "s32": ("pcm_s32le", 16_000, "s32", {}),
    "f32": ("pcm_f32le", 16_000, "flt", {}),
    "f64": ("pcm_f64le", 16_000, "dbl", {}),
}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 16: "hexadecagonal"}


@dataclass(frozen=True, slots=True)
class Track:
    """One audio track of a recording that is to be written.

    Attributes:
        sound: float32 [samples] or [channels, samples] at 16 kHz.
        codec: Key of `CODECS`.
        stamp: Time in the sound to time stamp in the file, both in seconds; None: the
            packet is lost.
        default: Whether the track is flagged as default; None: as the muxer likes.
        rate: Sample rate in the file, in Hz; None: the codec's own.
        options: Options of the encoder.
        tags: Metadata of the track.
    """

    sound: NDArray[np.float32]
    codec: str = "opus"
    stamp: Stamp = float
    default: bool | None = None
    rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def available(encoder: str) -> str:
    """Return the name of an encoder, or skip the test where PyAV is without it."""
    if encoder not in av.codecs_available:
        pytest.skip(f"PyAV {av.__version__} is without {encoder}")  # AMR, since 19
    return encoder


def write(
    path: Path,
    *tracks: Track,
    container: str | None = None,
    options: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    picture: tuple[float, float] | None = None,
    cover: bool = False,
) -> Path:
    """Write tracks into one file.

    Args:
        path: Path of the file.
        tracks: Audio tracks, in order.
        container: FFmpeg's name of the container; None: as the suffix says.
        options: Options of the muxer.
        tags: Metadata of the file.
        picture: Time stamps of the first and last image of a video track before the
            audio tracks; None: no video.
        cover: Whether an image is attached.
    """
    with av.open(
        str(path), "w", format=container, options=dict(options or {})
    ) as output:
        output.metadata.update(tags or {})
        packets = []
        if picture:
            packets += _video(output, *picture)
        streams = [_added(output, track) for track in tracks]
        if cover:
            packets += _cover(output)
        for track, stream in zip(tracks, streams, strict=True):
            packets += list(_stamped(_encoded(track.sound, stream), track.stamp))
        packets.sort(key=lambda p: p.dts * p.time_base)
        for packet in packets:
            output.mux_one(packet)
    return path


def _added(output: av.container.OutputContainer, track: Track) -> av.AudioStream:
    encoder, rate, sample_format, options = CODECS[track.codec]
    n_channels = 1 if track.sound.ndim == 1 else len(track.sound)
    if encoder == "vorbis":
        n_channels = 2  # FFmpeg's encoder knows stereo only
    stream = output.add_stream(available(encoder), rate=track.rate or rate)
    stream.layout = _LAYOUTS[n_channels]
    stream.format = sample_format
    stream.options = {**options, **track.options}
    if encoder == "wmav2":
        stream.bit_rate = 64_000  # it has no default
    stream.metadata.update(track.tags)
    if track.default is not None:
        stream.disposition = Disposition.default if track.default else Disposition(0)
    return stream


def _encoded(sound: NDArray[np.float32], stream: av.AudioStream) -> Iterator[av.Packet]:
    context = stream.codec_context
    context.open(strict=False)
    layout, rate = context.layout, context.sample_rate
    channels = np.broadcast_to(sound, (layout.nb_channels, sound.shape[-1]))
    packed = np.ascontiguousarray(channels.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout.name)
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    frame.time_base = Fraction(1, SAMPLE_RATE)
    # Where the encoder takes any length (PCM), packets of 20 ms can be stamped.
    resampler = av.AudioResampler(
        context.format, layout, rate, context.frame_size or rate // 50
    )
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        yield from stream.encode(piece)
    yield from stream.encode(None)


def _stamped(packets: Iterator[av.Packet], stamp: Stamp) -> Iterator[av.Packet]:
    for packet in packets:
        at = stamp(float(packet.pts * packet.time_base))
        if at is None:
            continue
        packet.pts = packet.dts = round(at / packet.time_base)
        yield packet


def _video(
    output: av.container.OutputContainer, first_s: float, last_s: float
) -> list[av.Packet]:
    stream = output.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    packets = []
    for i in range(round(first_s * 10), round(last_s * 10) + 1):
        grey = np.full((32, 32, 3), i % 200, np.uint8)
        image = av.VideoFrame.from_ndarray(grey, format="rgb24")
        image.pts, image.time_base = i, Fraction(1, 10)
        packets += stream.encode(image)
    return packets + stream.encode(None)


def _cover(output: av.container.OutputContainer) -> list[av.Packet]:
    stream = output.add_stream("mjpeg", rate=1)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuvj420p"
    stream.disposition = Disposition.attached_pic
    image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
    image = image.reformat(format="yuvj420p")
    image.pts, image.time_base = 0, Fraction(1, 1)
    return stream.encode(image) + stream.encode(None)
