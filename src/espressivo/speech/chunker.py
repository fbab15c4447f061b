"""Blocks of a signal -> windows of speech: detector, hysteresis and windower.

The state between two blocks is an explicit value, `ChunkerState`: a chunker that is
made from it goes on where the other stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from espressivo.speech.detector import DetectorState, SpeechDetector
from espressivo.speech.segments import Segmenter, SegmenterState, SpeechOptions
from espressivo.speech.windows import Window, Windower, WindowerState
from espressivo.types import Segment, Signal


@dataclass(frozen=True, slots=True, eq=False)
class ChunkerState:
    """The state of a chunker between two blocks."""

    detector: DetectorState
    segmenter: SegmenterState
    windower: WindowerState


class Chunker:
    """The windows of one recording, as soon as they are certain.

    Args:
        window: Longest window that the model takes, in samples.
        minimum: Shortest window, in samples.
        speech: When speech begins and ends.
        state: Where another chunker stopped; by default at the beginning.
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

    @property
    def state(self) -> ChunkerState:
        """The state, of use until the next block."""
        return ChunkerState(
            self._detector.state, self._segmenter.state, self._windower.state
        )

    @property
    def n_samples(self) -> int:
        """How much of the recording has passed."""
        return self._windower.n_samples

    def push(self, block: Signal) -> tuple[list[Segment], list[Window]]:
        """Return the segments and the windows that `block` completes, in order."""
        self._windower.push(block)
        found = self._cut(self._segmenter.push(self._detector.push(block)))
        if (segment := self._segmenter.open) is not None:
            found[1].extend(self._windower.cut_open(segment))
        self._windower.forget(self._segmenter.unsettled_from)
        return found

    def finish(self) -> tuple[list[Segment], list[Window]]:
        """Return what the recording's end completes."""
        closed = self._segmenter.push(self._detector.finish())
        return self._cut([*closed, *self._segmenter.finish(self.n_samples)])

    def peek(self, least: int) -> Window | None:
        """Return the newest speech before its window is certain.

        Args:
            least: None is returned for fewer samples of speech than this.
        """
        segment = self._segmenter.open
        return None if segment is None else self._windower.peek(segment, least)

    def _cut(self, closed: list[Segment]) -> tuple[list[Segment], list[Window]]:
        segments: list[Segment] = []
        windows: list[Window] = []
        for each in closed:
            # The last frame may reach beyond the recording, by zeros.
            segment = Segment(each.start, min(each.end, self.n_samples))
            segments.append(segment)
            windows += self._windower.cut_closed(segment)
        return segments, windows
