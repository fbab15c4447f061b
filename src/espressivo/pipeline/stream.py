"""A signal that is analysed while it comes in, for minutes or without an end.

The result depends on the signal alone, never on how it was cut into chunks: the stream
works by frames of 32 ms, and looks at unfinished speech at fixed times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.recording import from_array
from espressivo.errors import StateError
from espressivo.pipeline.analysis_pass import AnalysisPass
from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier
    from espressivo.pipeline.state import StreamState
    from espressivo.profile.profile import Profile
    from espressivo.report import Report
    from espressivo.speech.segments import SpeechOptions
    from espressivo.speech.windows import Window

_LEAST = SAMPLE_RATE  # less speech than a second says little
_BLOCK = 900 * FRAME  # a longer chunk is worked off in pieces of this


class Stream:
    """A recording that has no end yet; made by `Analyzer.stream`.

    Args:
        classifier: A loaded model.
        speech: When speech begins and ends.
        profile: Of the speaker in the stream.
        hop_s: How often unfinished speech is estimated, in seconds; 0: never.
        history: How many windows and segments the report names; of older ones only
            sums are kept, so that memory is bounded.
        state: Where another stream stopped; by default at the beginning.

    Raises:
        StateError: The state is of another model, or of another profile.
    """

    def __init__(
        self,
        classifier: Classifier,
        speech: SpeechOptions,
        profile: Profile | None,
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
        self._analysis = AnalysisPass(classifier, speech, profile, state)
        self._pending = np.zeros(0, np.float32) if state is None else state.pending
        # Whole frames, since speech is found by frames.
        self._hop = max(1, round(hop_s * SAMPLE_RATE / FRAME)) * FRAME if hop_s else 0
        self._history = history
        self._finished = False

    @property
    def state(self) -> StreamState:
        """All that the stream knows: a stream made from it goes on the same."""
        return self._analysis.state(self._pending)

    @property
    def duration_s(self) -> float:
        """How much has come in, in seconds."""
        return (self._analysis.n_samples + len(self._pending)) / SAMPLE_RATE

    def push(self, chunk: NDArray[Any]) -> list[Estimate]:
        """Add samples; return the estimates that they complete, oldest first.

        Estimates of speech that still goes on are marked `provisional`: a later one
        covers the same speech with more context.

        Args:
            chunk: [samples] at 16 kHz, any number: floats in -1..1 or PCM integers.

        Raises:
            AudioError: It is not audio; nothing of it was taken in.
            StateError: The stream was finished.
        """
        self._require_open()
        signal = from_array(chunk, SAMPLE_RATE)
        pending = np.concatenate([self._pending, signal])
        estimates: list[Estimate] = []
        at = 0  # the rest is copied once: a chunk may be an hour
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
        """End the recording.

        Args:
            name: What the report calls it.

        Raises:
            StateError: The stream was finished before.
        """
        self._require_open()
        self._finished = True
        self._classify(self._analysis.push(self._pending))
        self._classify(self._analysis.finish())
        self._analysis.forget(self._history)
        return self._analysis.report(name)

    def _require_open(self) -> None:
        if self._finished:
            raise StateError("the stream is finished; begin another one")

    def _step(self, n_left: int) -> int:
        """Return how many samples to take, in whole frames: not past the next look."""
        n = min(n_left // FRAME * FRAME, _BLOCK)
        if not self._hop:
            return n
        return min(n, self._hop - self._analysis.n_samples % self._hop)

    def _classify(self, windows: Iterable[Window]) -> list[Estimate]:
        estimates: list[Estimate] = []
        for window in windows:
            # Each alone: which windows come together depends on the chunks.
            estimates += self._analysis.add(self._analysis.windows.predict([window]))
        return estimates

    def _peek(self) -> list[Estimate]:
        if (window := self._analysis.peek(_LEAST)) is None:
            return []
        classifier = self._analysis.windows
        (adapted,) = classifier.adapt(classifier.predict([window]))
        return [replace(adapted.estimate, provisional=True)]
