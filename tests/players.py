"""What a player hears: FFmpeg's own decode on its own clock, apart from our code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

from espressivo.audio.demuxer import _TAGS
from espressivo.audio.recording import Recording
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

    from espressivo.types import Signal

FRAME_S = 0.032
_PIECE_S = 0.8


def played(
    path: Path, *, track: int = 1, pan: str | None = None, clock: bool = True
) -> Signal:
    """Return the sound as `ffmpeg -af aresample=async=1:first_pts=0` writes it.

    Args:
        path: Path of the recording; its format must not change inside.
        track: Number of the audio track, from 1.
        pan: Argument of FFmpeg's filter `pan`, to hear one channel; None: all of them.
        clock: Whether time stamps count; False: frame follows frame.
    """
    with av.open(str(path), **_TAGS) as container:
        stream = container.streams.audio[track - 1]
        start_s = (container.start_time or 0) / av.time_base
        frames = [f for p in container.demux(stream) for f in _decoded(p)]
        if stream.codec_context.name == "opus":
            frames = _by_libopus(path, track, frames)
    graph = _graph(frames[0], pan, clock=clock)
    pieces = []
    for frame in [*frames, None]:
        if frame is not None:
            if not clock:
                frame.pts = None
            elif frame.pts is not None:
                frame.pts -= round(start_s / frame.time_base)
        graph.push(frame)
        pieces += _ready(graph)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def _decoded(
    packet: av.Packet, decoder: av.AudioCodecContext | None = None
) -> list[av.AudioFrame]:
    try:
        return (decoder or packet.stream.codec_context).decode(packet)
    except av.error.InvalidDataError:
        return []


def _by_libopus(
    path: Path, track: int, stamped: list[av.AudioFrame]
) -> list[av.AudioFrame]:
    """Return the samples that browsers decode, on the stamps of FFmpeg's decoder."""
    with av.open(str(path), **_TAGS) as container:
        stream = container.streams.audio[track - 1]
        decoder = av.codec.Codec("libopus", "r").create("audio")
        decoder.extradata = stream.codec_context.extradata
        decoder.sample_rate = stream.codec_context.sample_rate
        decoder.layout = stream.codec_context.layout
        frames = [f for p in container.demux(stream) for f in _decoded(p, decoder)]
    for frame, other in zip(frames, stamped, strict=True):
        assert frame.samples == other.samples
        frame.pts, frame.time_base = other.pts, other.time_base
    return frames


def _graph(frame: av.AudioFrame, pan: str | None, *, clock: bool) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=frame.time_base,
        ),
        *([graph.add("pan", pan)] if pan else []),
        graph.add(
            "aresample", f"{SAMPLE_RATE}" + (":async=1:first_pts=0" if clock else "")
        ),
        graph.add("aformat", "sample_fmts=flt:channel_layouts=mono"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*nodes)
    graph.configure()
    return graph


def _ready(graph: av.filter.Graph) -> list[av.AudioFrame]:
    ready = []
    while True:
        try:
            ready.append(graph.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return ready


def heard(path, **options):
    """Return what our decoder gives, and the recording after its last block."""
    recording = Recording(path, **options)
    blocks = list(recording.blocks())
    signal = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return signal, recording


def _position(signal, piece, around_s):
    """Return where a piece of sound is within 0.5 s of `around_s`, and how alike."""
    begin = max(0, round((around_s - 0.5) * SAMPLE_RATE))
    end = max(0, round((around_s + 0.5) * SAMPLE_RATE)) + len(piece)
    span = signal[begin:end].astype(np.float64)
    if len(span) < len(piece):
        return 0.0, 0.0
    size = 1 << (len(span) + len(piece)).bit_length()
    spectrum = np.fft.rfft(span, size) * np.fft.rfft(piece, size).conj()
    cross = np.fft.irfft(spectrum, size)[: len(span) - len(piece) + 1]
    energy = np.cumsum(np.concatenate([[0], np.square(span)]))
    power = energy[len(piece) :] - energy[: -len(piece)]
    alike = np.abs(cross) / np.sqrt(power * np.square(piece).sum() + 1e-9)
    at = int(alike.argmax())
    return (begin + at) / SAMPLE_RATE, float(alike[at])


def later(seconds):
    """Return the function that says of each second of a sound where it is."""
    return lambda t: t + seconds


def check_places(signal, sound, place, *, alike=0.8, tolerance_s=FRAME_S, least=1):
    """Find each piece of `sound` again in `signal`, where `place` puts its time.

    Pieces that a hole tears are left out; at least `least` must remain.
    """
    n = round(_PIECE_S * SAMPLE_RATE)
    n_checked = 0
    for begin in range(0, len(sound) - n + 1, n):
        begin_s = begin / SAMPLE_RATE
        # A hole begins and ends with a whole packet.
        around = [place(begin_s + t) for t in np.linspace(-0.1, _PIECE_S + 0.1, 11)]
        wanted_s = place(begin_s)
        if None in around or np.ptp(np.diff(around)) > FRAME_S:
            continue  # the piece is torn
        piece = sound[begin : begin + n]
        if np.square(piece).mean() < 1e-5:
            continue  # a pause cannot be found again
        found_s, likeness = _position(signal, piece, wanted_s)
        assert likeness > alike, f"{begin_s:.2f} s is not heard ({likeness:.2f})"
        assert abs(found_s - wanted_s) <= tolerance_s, (
            f"{begin_s:.2f} s is heard at {found_s:.3f} s, not {wanted_s:.3f} s"
        )
        n_checked += 1
    assert n_checked >= least


def envelopes_agree(a, b):
    """Return whether two signals rise and fall together."""
    n = min(len(a), len(b)) // 512 * 512
    a, b = (np.square(x[:n]).reshape(-1, 512).sum(axis=1) for x in (a, b))
    return np.corrcoef(np.sqrt(a), np.sqrt(b))[0, 1] > 0.98
