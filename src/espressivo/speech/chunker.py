"""Chunker: blocks of a signal to windows of speech (VAD, hysteresis, windowing).

It measures the quality of the sound on the way.

The state between two blocks is an explicit value, `ChunkerState`: a chunker that is
constructed from it continues where the other stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from espressivo.speech.detector import DetectorState, SpeechDetector
from espressivo.speech.quality import Quality, QualityMeter, QualityState
from espressivo.speech.segments import Segmenter, SegmenterState, SpeechOptions
from espressivo.speech.windows import Window, Windower, WindowerState
from espressivo.types import Segment, Signal


@dataclass(frozen=True, slots=True, eq=False)
class ChunkerState:
    """State of a chunker between two blocks: that of its stages."""

    detector: DetectorState
    segmenter: SegmenterState
    windower: WindowerState
    quality: QualityState


class Chunker:
    """Speech windows of one recording, each returned as soon as its bounds are final.

    Args:
        window: Longest window that the model takes, in samples.
        minimum: Shortest window, in samples.
        speech: Thresholds and durations of the speech segmentation.
        state: State to continue from; None: the beginning of a recording.
    """

    def __init__(
        self,
        window: int,
        minimum: int,
        speech: SpeechOptions,
        state: ChunkerState | None = None,
    ) -> None:
        self._detector = SpeechDetector(state.detector if state else None)
        self._segmenter = Segmenter(speech, state.segmenter if state else None)
        self._windower = Windower(window, minimum, state.windower if state else None)
        self._meter = QualityMeter(state.quality if state else None)

    @property
    def state(self) -> ChunkerState:
        """Current state; valid until the next block is pushed."""
        return ChunkerState(
            self._detector.state,
            self._segmenter.state,
            self._windower.state,
            self._meter.state,
        )

    @property
    def n_samples(self) -> int:
        """Number of samples pushed so far."""
        return self._windower.n_samples

    def push(self, block: Signal) -> tuple[list[Segment], list[Window]]:
        """Return the segments and the windows that `block` completes, in order."""
        self._windower.push(block)
        probabilities = self._detector.push(block)
        self._meter.push(block, probabilities)
        found = self._cut(self._segmenter.push(probabilities))
        if (segment := self._segmenter.open) is not None:
            found[1].extend(self._windower.cut_open(segment))
        self._windower.forget(self._segmenter.unsettled_from)
        return found

    def finish(self) -> tuple[list[Segment], list[Window]]:
        """Return the segments and windows that the recording's end completes."""
        closed = self._segmenter.push(self._detector.finish())
        return self._cut([*closed, *self._segmenter.finish(self.n_samples)])

    def measure(self) -> Quality:
        """Return the quality of the speech so far."""
        return self._meter.measure()

    def peek(self, least: int) -> Window | None:
        """Return a provisional window of the newest speech of an open segment.

        Args:
            least: Shortest speech to return, in samples.

        Returns:
            None if no segment is open, or if it is shorter than `least`.
        """
        segment = self._segmenter.open
        return None if segment is None else self._windower.peek(segment, least)

    def _cut(self, closed: list[Segment]) -> tuple[list[Segment], list[Window]]:
        segments: list[Segment] = []
        windows: list[Window] = []
        for each in closed:
            # The last frame is padded with zeros, so it may end after the recording.
            segment = Segment(each.start, min(each.end, self.n_samples))
            segments.append(segment)
            windows += self._windower.cut_closed(segment)
        return segments, windows
