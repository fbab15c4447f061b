"""Where someone speaks: Silero VAD, then pure hysteresis to segments.

Source: Silero VAD 6.2 (MIT), the 16 kHz model that takes many frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from espressivo.types import SAMPLE_RATE, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

FRAME = 512
"""Samples that one speech probability stands for (32 ms)."""

_CONTEXT = 64  # samples of the frame before, which the network sees again
# The network hears less speech in quiet recordings, and more noise as speech in loud
# ones; so every frame is brought to the level of the loudest speech of late.
_LEVEL = 0.1  # root mean square that the loudest frame gets
_DECAY_DB_S = 2.0  # how fast a loud frame is forgotten
_QUIETEST = 1e-6  # -120 dB: what is below is digital silence, and stays so
_VAD = Path(__file__).parents[1] / "assets" / "silero_vad.onnx"


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """When a frame begins, continues or ends speech.

    Attributes:
        threshold: A frame at least this probable begins speech.
        release: A frame less probable than this is a pause.
        min_speech_s: Shorter speech is dropped (a click, a cough).
        min_pause_s: A shorter pause does not end a segment.
        pad_s: Added before and after, since onsets are soft; at most half a pause.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech_s: float = 0.256
    min_pause_s: float = 0.384
    pad_s: float = 0.096

    def __post_init__(self) -> None:
        if not 0 <= self.release <= self.threshold <= 1:
            raise ValueError(
                f"release is {self.release} and threshold {self.threshold}; "
                "wanted 0 <= release <= threshold <= 1"
            )
        if not 0 <= self.pad_s <= self.min_pause_s / 2:
            raise ValueError(
                f"pad_s is {self.pad_s}; wanted 0 to half of min_pause_s "
                f"({self.min_pause_s / 2}), or segments would overlap"
            )

    @property
    def min_speech(self) -> int:
        """In frames."""
        return _frames(self.min_speech_s)

    @property
    def min_pause(self) -> int:
        """In frames, at least 1."""
        return max(1, _frames(self.min_pause_s))

    @property
    def pad(self) -> int:
        """In samples."""
        return round(self.pad_s * SAMPLE_RATE)


def _frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)


@cache
def _vad_session() -> ort.InferenceSession:
    # Holds no state of its own: every detector carries and hands over its own.
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(_VAD, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True, eq=False)
class DetectorState:
    """What a detector knows between two blocks.

    Attributes:
        network: The network's own, float32 [2, 1, 1, 128].
        tail: The context of the next frame, then the samples that fill none yet.
        loudest: Level of the loudest speech of late.
    """

    network: NDArray[np.float32]
    tail: Signal
    loudest: float

    @staticmethod
    def new() -> DetectorState:
        """Return what is known before a recording begins."""
        network = np.zeros((2, 1, 1, 128), np.float32)
        return DetectorState(network, np.zeros(_CONTEXT, np.float32), _QUIETEST)


class SpeechDetector:
    """Speech probabilities of a signal that arrives in blocks of any size.

    Args:
        state: Where another detector stopped; by default at the beginning.
    """

    def __init__(self, state: DetectorState | None = None) -> None:
        self._session = _vad_session()
        state = state or DetectorState.new()
        self._hidden, self._cell = state.network
        self._tail = state.tail
        self._loudest = state.loudest

    @property
    def state(self) -> DetectorState:
        """What it knows; its arrays are never changed, but replaced."""
        network = np.stack([self._hidden, self._cell])
        return DetectorState(network, self._tail, self._loudest)

    def push(self, block: Signal) -> NDArray[np.float32]:
        """Return the probabilities [frames] of the frames that `block` completes."""
        signal = np.concatenate([self._tail, block])
        n_frames = (len(signal) - _CONTEXT) // FRAME
        if n_frames == 0:
            self._tail = signal
            return np.zeros(0, np.float32)
        # Not sliding_window_view, whose checks cost a tenth of a short push.
        shape, step = (n_frames, _CONTEXT + FRAME), signal.itemsize
        frames = np.ndarray(shape, signal.dtype, signal, strides=(FRAME * step, step))
        probabilities, self._hidden, self._cell = self._session.run(
            ["speech_probs", "hn", "cn"],
            {"input": self._levelled(frames), "h": self._hidden, "c": self._cell},
        )
        self._tail = signal[n_frames * FRAME :].copy()
        return np.asarray(probabilities, np.float32)

    def _levelled(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale frames [n, context + frame], each by the level up to it."""
        power = np.square(frames[:, _CONTEXT:], dtype=np.float64).sum(1) / FRAME
        levels = np.log(np.maximum(np.sqrt(power), _QUIETEST))
        # Where a loud frame still counts after a while, less what it lost since:
        # the maximum over the past of level + loss so far, less the loss until now.
        steps = np.arange(1, len(frames) + 1)
        lost = steps * (_DECAY_DB_S / 20 * np.log(10) * FRAME / SAMPLE_RATE)
        peaks = np.maximum.accumulate(np.maximum(levels + lost, np.log(self._loudest)))
        loudest = np.maximum(np.exp(peaks - lost), _QUIETEST)
        self._loudest = float(loudest[-1])
        scaled: NDArray[np.float32] = frames * (_LEVEL / loudest)[:, None].astype("f4")
        return scaled

    def finish(self) -> NDArray[np.float32]:
        """Return the probability of the last, unfinished frame, if there is one."""
        missing = _CONTEXT + FRAME - len(self._tail)
        if missing == FRAME:
            return np.zeros(0, np.float32)
        return self.push(np.zeros(missing, np.float32))


@dataclass(frozen=True, slots=True)
class SegmenterState:
    """What a segmenter knows between two blocks, in frames.

    Attributes:
        n_frames: Frames seen.
        start: The first of the open segment; None between segments.
        last: One past its last frame that is no pause.
    """

    n_frames: int = 0
    start: int | None = None
    last: int = 0


class Segmenter:
    """Hysteresis: speech probabilities, frame by frame, to segments.

    Args:
        options: Thresholds and durations.
        state: Where another segmenter stopped; by default at the beginning.

    Attributes:
        open: The speech that goes on: from its padded start to the end of its last
            frame that was not a pause. None between segments.
    """

    def __init__(
        self, options: SpeechOptions | None = None, state: SegmenterState | None = None
    ) -> None:
        self._options = options or SpeechOptions()
        state = state or SegmenterState()
        self._n, self._start, self._last = state.n_frames, state.start, state.last

    @property
    def state(self) -> SegmenterState:
        """What it knows."""
        return SegmenterState(self._n, self._start, self._last)

    @property
    def open(self) -> Segment | None:  # noqa: D102  # described above
        if self._start is None or self._last - self._start < self._options.min_speech:
            return None
        return self._padded(self._last * FRAME, pad_end=0)

    @property
    def unsettled_from(self) -> int:
        """No segment yet to come begins before this sample."""
        first = self._n if self._start is None else self._start
        return max(0, first * FRAME - self._options.pad)

    def push(self, probabilities: Iterable[float]) -> list[Segment]:
        """Return the segments that these frames complete, oldest first."""
        segments: list[Segment] = []
        for p in probabilities:
            if self._start is None:
                if p >= self._options.threshold:
                    self._start, self._last = self._n, self._n + 1
            elif p >= self._options.release:
                self._last = self._n + 1
            elif self._n + 1 - self._last >= self._options.min_pause:
                segments += self._close(limit=None)
            self._n += 1
        return segments

    def finish(self, n_samples: int) -> list[Segment]:
        """Return the segment that the recording's end completes, if one is open."""
        return [] if self._start is None else self._close(limit=n_samples)

    def _close(self, limit: int | None) -> list[Segment]:
        assert self._start is not None
        long_enough = self._last - self._start >= self._options.min_speech
        end = self._last * FRAME
        segment = self._padded(end, self._options.pad, limit)
        self._start = None
        return [segment] if long_enough else []

    def _padded(self, end: int, pad_end: int, limit: int | None = None) -> Segment:
        assert self._start is not None
        start = max(0, self._start * FRAME - self._options.pad)
        end += pad_end
        return Segment(start, end if limit is None else min(end, limit))


def find_segments(
    probabilities: Iterable[float],
    n_samples: int,
    options: SpeechOptions | None = None,
) -> list[Segment]:
    """Return the segments of a whole recording, in order, never overlapping.

    Args:
        probabilities: One per frame of `FRAME` samples.
        n_samples: Length of the recording; the last frame may reach beyond it.
        options: Thresholds and durations.
    """
    segmenter = Segmenter(options)
    return [*segmenter.push(probabilities), *segmenter.finish(n_samples)]
