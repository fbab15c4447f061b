"""Resampling with FFmpeg (PyAV): decoded frames to mono 16 kHz, in bounded memory."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error
import av.filter
import numpy as np

from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame

# A damaged header can request gigabytes, and FFmpeg would allocate them. No audio
# packet comes near this limit.
_LARGEST_BYTES = 256 * 2**20


def _cap_ffmpeg() -> None:
    """Make FFmpeg refuse any single allocation above `_LARGEST_BYTES`.

    PyAV does not expose `av_max_alloc`, so the libavutil inside its wheel is called.
    """
    # Wheels keep their libraries in `av.libs` (Linux, Windows) or `.dylibs` (macOS).
    home = Path(av.__file__).parent
    for folder in (home.with_name("av.libs"), home / ".dylibs"):
        for library in folder.glob("*avutil*"):
            ctypes.CDLL(str(library)).av_max_alloc(ctypes.c_size_t(_LARGEST_BYTES))


_cap_ffmpeg()


def resample(signal: Signal, sample_rate: int) -> Signal:
    """Resample a signal from `sample_rate` Hz to 16 kHz, as `Recording` does.

    Raises:
        AudioError: The sample rate is not a positive whole number.
    """
    if sample_rate <= 0 or int(sample_rate) != sample_rate:
        raise AudioError(f"array: sample rate is {sample_rate} Hz; pass a whole number")
    if not len(signal):
        return signal  # FFmpeg cannot build an empty frame
    frame = av.AudioFrame.from_ndarray(signal[None], format="flt", layout="mono")
    frame.sample_rate = int(sample_rate)
    graph = resampling_graph(frame)
    graph.push(frame)
    pieces = list(drain(graph, flush=True))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def resampling_graph(frame: AudioFrame) -> av.filter.Graph:
    """Return a filter graph: channel mean, resampling, output frames of one second.

    Args:
        frame: First frame; later frames must have the same rate, format and layout.

    Raises:
        av.error.FFmpegError: FFmpeg cannot convert this format to 16 kHz.
    """
    n = frame.layout.nb_channels
    mean = "mono|c0=" + "+".join(f"{1 / n:.9g}*c{i}" for i in range(n))
    graph = av.filter.Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
        ),
        # FFmpeg's own downmix does not normalize float samples: its output is louder
        # than its inputs.
        *([graph.add("pan", mean)] if n > 1 else []),
        graph.add("aresample", str(SAMPLE_RATE)),
        graph.add("aformat", "sample_fmts=flt:channel_layouts=mono"),
        graph.add("asetnsamples", f"n={SAMPLE_RATE}:p=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*nodes)
    graph.configure()
    return graph


def drain(graph: av.filter.Graph, *, flush: bool = False) -> Iterator[Signal]:
    """Yield the signals that a graph has ready.

    Args:
        graph: The filter graph.
        flush: Also yield the samples still inside the graph; it takes no more input.
    """
    if flush:
        graph.push(None)
    while True:
        try:
            frame = cast("AudioFrame", graph.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.to_ndarray()[0]
