"""Conversion with FFmpeg (PyAV): decoded frames to floats, and mono to 16 kHz."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error
import av.filter
import numpy as np

from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from av.audio.frame import AudioFrame
    from numpy.typing import NDArray

# A damaged header can request gigabytes, and FFmpeg would allocate them. No audio
# packet comes near this limit.
_LARGEST_BYTES = 256 * 2**20
_UNLIMITED = 2**31 - 1  # FFmpeg's default
_FILTER = 32  # taps of FFmpeg's resampling filter at the lower rate
_EMPTY = (np.zeros(0, np.float32),)  # concatenate needs one array


class _Cap:
    """Limit of one allocation by FFmpeg, while any thread is inside."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._release)

    def __enter__(self) -> None:
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1:
                _limit_allocations(_LARGEST_BYTES)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                _limit_allocations(_UNLIMITED)

    def _begin(self) -> None:
        # A signal handler may decode too, in the thread that holds the lock.
        self._lock = threading.RLock()
        self._n_inside = 0

    def _release(self) -> None:
        """Forget the threads inside, which a forked process does not have."""
        was_inside = self._n_inside > 0
        self._begin()
        if was_inside:
            _limit_allocations(_UNLIMITED)


_CAP = _Cap()


def capped() -> AbstractContextManager[None]:
    """Return a context in which FFmpeg refuses any allocation above 256 MiB.

    The limit holds for the whole process, so other users of PyAV feel it too, in all
    threads. Hence a generator must not yield inside.
    """
    return _CAP


def _limit_allocations(n_bytes: int) -> None:
    for set_limit in _limits():
        set_limit(ctypes.c_size_t(n_bytes))


@cache
def _limits() -> tuple[Callable[[ctypes.c_size_t], object], ...]:
    """Return `av_max_alloc` of PyAV's libavutil; PyAV does not expose it."""
    # Wheels keep their libraries in `av.libs` (Linux, Windows) or `.dylibs` (macOS).
    home = Path(av.__file__).parent
    folders = (home.with_name("av.libs"), home / ".dylibs")
    found = [path for folder in folders for path in folder.glob("*avutil*")]
    return tuple(ctypes.CDLL(str(path)).av_max_alloc for path in found)


class Resampler:
    """A mono signal at another rate, in pieces, to 16 kHz.

    A signal at 16 kHz passes untouched.

    Args:
        sample_rate: Sample rate of the signal, in Hz.

    Raises:
        av.error.FFmpegError: FFmpeg cannot convert this rate to 16 kHz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._n_in = self._n_out = 0
        self._graph: av.filter.Graph | None = None
        if sample_rate != SAMPLE_RATE:
            first = av.AudioFrame("flt", "mono", 1)
            first.sample_rate = sample_rate
            self._graph = resampling_graph(first)

    def push(self, signal: Signal) -> list[Signal]:
        """Return the signals at 16 kHz that the next piece completes.

        Args:
            signal: float32 [samples], some seconds at most: FFmpeg makes copies of it.
        """
        if not len(signal):
            return []
        if self._graph is None:
            return [signal]
        self._n_in += len(signal)
        self._feed(self._graph, signal)
        done = list(drain(self._graph))
        self._n_out += sum(map(len, done))
        return done

    def finish(self) -> list[Signal]:
        """Return the signals that the end completes; no piece can follow.

        Raises:
            AudioError: The length of the whole does not fit the rates.
        """
        if self._graph is None or not self._n_in:
            return []
        wanted = round(self._n_in * SAMPLE_RATE / self._rate)
        shortest = round(_FILTER * max(1, self._rate / SAMPLE_RATE))
        if padding := max(0, shortest - self._n_in):
            # FFmpeg returns nothing of a signal that is shorter than its filter.
            self._feed(self._graph, np.zeros(padding, np.float32))
        rest = np.concatenate([*_EMPTY, *drain(self._graph, flush=True)])
        if padding:
            rest = rest[: wanted - self._n_out]
        self._n_out += len(rest)
        if abs(self._n_out - wanted) > 1:
            raise AudioError(
                f"resampling: {self._n_in} samples at {self._rate} Hz became "
                f"{self._n_out} at {SAMPLE_RATE} Hz instead of {wanted}; "
                "pass the sound at 16000 Hz"
            )
        return [rest]

    def _feed(self, graph: av.filter.Graph, signal: Signal) -> None:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(signal[None]), format="flt", layout="mono"
        )
        frame.sample_rate = self._rate
        graph.push(frame)


def resampling_graph(frame: AudioFrame) -> av.filter.Graph:
    """Return a filter graph: mono resampled to 16 kHz, output frames of one second.

    Args:
        frame: First frame, mono; later frames must have the same rate and format.

    Raises:
        av.error.FFmpegError: FFmpeg cannot convert this format to 16 kHz.
    """
    return _graph(
        frame,
        ("aresample", str(SAMPLE_RATE)),
        ("aformat", "sample_fmts=flt:channel_layouts=mono"),
        ("asetnsamples", f"n={SAMPLE_RATE}:p=0"),
    )


class Planes:
    """Decoded frames of one format, as float32 [channels, samples] of one second each.

    Frames hold some 20 ms; gathered by FFmpeg, they cost a twentieth of the Python.

    Args:
        frame: First frame; later frames must have the same rate, format and layout.

    Raises:
        av.error.FFmpegError: FFmpeg cannot convert this format to floats.
    """

    def __init__(self, frame: AudioFrame) -> None:
        self._length = second(frame.sample_rate)
        self._n = 0  # samples inside the graph
        self._n_channels = frame.layout.nb_channels
        # PyAV 18 reads past the end of eight separate planes.
        self._is_planar = self._n_channels < 8
        self._graph = _graph(
            frame,
            ("aformat", f"sample_fmts={'fltp' if self._is_planar else 'flt'}"),
            ("asetnsamples", f"n={self._length}:p=0"),
        )

    def push(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        """Yield the seconds that a frame completes."""
        frame.pts = None
        self._n += frame.samples
        self._graph.push(frame)
        # Pulled by count: an exception of PyAV, which says that there is nothing, costs
        # more than a frame.
        while self._n >= self._length:
            self._n -= self._length
            yield self._separated(cast("AudioFrame", self._graph.pull()))

    def finish(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rest, shorter than one second; no frame can follow."""
        self._graph.push(None)
        for frame in _frames(self._graph):
            yield self._separated(frame)

    def _separated(self, frame: AudioFrame) -> NDArray[np.float32]:
        if self._is_planar:
            return cast("NDArray[np.float32]", frame.to_ndarray())
        interleaved = frame.to_ndarray().reshape(-1, self._n_channels)
        return np.ascontiguousarray(interleaved.T)


def second(sample_rate: int) -> int:
    """Return the samples of one second, within limits.

    Damaged headers declare a few Hz or gigahertz, and a piece must be neither a sample
    nor gigabytes.
    """
    return min(max(sample_rate, 4_000), 400_000)


def _graph(frame: AudioFrame, *filters: tuple[str, str]) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
    )
    nodes = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(source, *nodes, graph.add("abuffersink"))
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
    for frame in _frames(graph):
        yield frame.to_ndarray()[0]


def _frames(graph: av.filter.Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            yield cast("AudioFrame", graph.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return
