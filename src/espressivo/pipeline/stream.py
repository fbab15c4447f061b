"""Streaming analysis: a signal is analysed while it arrives, without a length limit.

The result depends only on the signal, not on its division into chunks: the stream
processes frames of 32 ms and makes provisional estimates at fixed times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.audio.arrays import MOST_BAD, from_chunk
from espressivo.errors import AudioError, StateError
from espressivo.pipeline.analysis_pass import AnalysisPass
from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE, Estimate, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from espressivo.pipeline.state import StreamState
    from espressivo.pipeline.window_classifier import WindowClassifier
    from espressivo.report import Report
    from espressivo.speech.segments import SpeechOptions
    from espressivo.speech.windows import Window

_LEAST = SAMPLE_RATE  # a provisional estimate of less than 1 s of speech is unreliable
_PATIENCE = 10 * SAMPLE_RATE  # before it is judged how many samples are not finite
_BLOCK = 900 * FRAME  # longer chunks are processed in blocks of this size (28.8 s)


class Stream:
    """An analysis of a recording in progress; created by `Analyzer.stream`.

    Args:
        windows: The classifier of windows, and what it adapts to.
        speech: Thresholds and durations of the speech segmentation.
        hop_s: Interval of provisional estimates of open segments, in seconds; 0: none.
        history: Number of windows and segments that the report lists. Older ones are
            reduced to sums, so that memory is bounded.
        state: State to continue from; None: the beginning of a recording.

    Raises:
        StateError: The state is of another model, profile or setting.
        ValueError: The windows are to be adapted to the whole recording.
    """

    def __init__(
        self,
        windows: WindowClassifier,
        speech: SpeechOptions,
        *,
        hop_s: float,
        history: int,
        state: StreamState | None = None,
    ) -> None:
        if hop_s < 0 or history < 1:
            raise ValueError(
                f"hop_s is {hop_s} and history {history}; wanted 0 or more, and 1 "
                "or more"
            )
        if windows.options.recording:
            raise ValueError(
                "a stream cannot be adapted to a recording that has not ended; leave "
                "adapt out, or use Analyzer.analyze"
            )
        self._windows = windows
        self._analysis = AnalysisPass(windows, speech, state)
        self._pending = np.zeros(0, np.float32) if state is None else state.pending
        # The hop is rounded to whole frames, since the VAD works by frames.
        self._hop = max(1, round(hop_s * SAMPLE_RATE / FRAME)) * FRAME if hop_s else 0
        self._history = history
        self._finished = False
        self._n_bad = self._first_bad = 0

    @property
    def state(self) -> StreamState:
        """Complete state, from which another stream can continue."""
        return self._analysis.state(self._pending)

    @property
    def duration_s(self) -> float:
        """Length of the signal so far, in seconds."""
        return (self._analysis.n_samples + len(self._pending)) / SAMPLE_RATE

    def push(self, chunk: ArrayLike) -> list[Estimate]:
        """Add samples and return the estimates that they complete, oldest first.

        Estimates of open segments are marked `provisional`; a later estimate covers
        the same speech with more context.

        Args:
            chunk: [samples] at 16 kHz, of any length: floats in -1..1 or PCM integers.
                Samples that are NaN or infinite are taken as silence; the report warns
                of them.

        Raises:
            AudioError: The chunk is not audio, or after 10 s more than 1 % of the
                samples are NaN or infinite; the stream is unchanged.
            StateError: The stream is finished.
        """
        self._require_open()
        signal = self._checked(chunk)
        pending = np.concatenate([self._pending, signal])
        estimates: list[Estimate] = []
        # An index, not slicing off the front: a chunk may be an hour long, and the rest
        # is copied only once.
        at = 0
        with np.errstate(all="ignore"):  # as in `Analyzer.analyze`
            while (n_left := len(pending) - at) >= FRAME:
                n = self._step(n_left)
                estimates += self._classify(self._analysis.push(pending[at : at + n]))
                at += n
                if self._hop and self._analysis.n_samples % self._hop == 0:
                    estimates += self._peek()
        self._pending = pending[at:].copy()
        self._analysis.forget(self._history)
        return estimates

    def finish(self, name: str = "stream") -> Report:
        """End the recording and return its report.

        Args:
            name: Name of the recording in the report.

        Raises:
            StateError: The stream is already finished.
        """
        self._require_open()
        self._finished = True
        with np.errstate(all="ignore"):  # as in `Analyzer.analyze`
            self._classify(self._analysis.push(self._pending))
            self._pending = self._pending[:0]
            self._classify(self._analysis.finish())
        self._analysis.forget(self._history)
        return self._analysis.report(name, self._warnings(name))

    def _warnings(self, name: str) -> list[str]:
        if not self._n_bad:
            return []
        warning = (
            f"{name}: sample {self._first_bad} is NaN or infinite ({self._n_bad} of "
            f"{self._analysis.n_samples} are); they were taken as silence"
        )
        return [warning]

    def _checked(self, chunk: ArrayLike) -> Signal:
        signal, n_bad, first = from_chunk(chunk)
        if not n_bad:
            return signal
        before = self._analysis.n_samples + len(self._pending)
        n, n_bad = before + len(signal), self._n_bad + n_bad
        if n >= _PATIENCE and n_bad > MOST_BAD * n:
            raise AudioError(
                f"stream: sample {before + first} is NaN or infinite ({n_bad} of {n} "
                "are); repair the signal",
                "not finite",
            )
        if not self._n_bad:
            self._first_bad = before + first
        self._n_bad = n_bad
        return signal

    def _require_open(self) -> None:
        if self._finished:
            raise StateError("the stream is finished; begin another one")

    def _step(self, n_left: int) -> int:
        """Return the size of the next block: whole frames, up to the next hop at most.

        Blocks end at each hop, so that provisional estimates come at fixed times.
        """
        n = min(n_left // FRAME * FRAME, _BLOCK)
        if not self._hop:
            return n
        return min(n, self._hop - self._analysis.n_samples % self._hop)

    def _classify(self, windows: Iterable[Window]) -> list[Estimate]:
        estimates: list[Estimate] = []
        for window in windows:
            # One window per call: batches would depend on the division into chunks.
            estimates += self._analysis.add(self._windows.predict([window]))
        return estimates

    def _peek(self) -> list[Estimate]:
        if (window := self._analysis.peek(_LEAST)) is None:
            return []
        (estimate,) = self._analysis.adapted(self._windows.predict([window]))
        return [replace(estimate, provisional=True)]
