"""Analysis pass over one recording: intermediate results and the final report.

Files and streams share it. They differ in how windows are batched: `recordings.py`
classifies batches in threads, `stream.py` each window by itself as it is completed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from espressivo.errors import StateError
from espressivo.model.speaker_statistics import SpeakerStatistics
from espressivo.pipeline.state import StreamState
from espressivo.pipeline.window_classifier import WindowClassifier
from espressivo.report import Report
from espressivo.speech.chunker import Chunker
from espressivo.speech.quality import Quality
from espressivo.types import SAMPLE_RATE, Estimate, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.model.classifier import Classifier
    from espressivo.pipeline.window_classifier import Prediction
    from espressivo.profile.profile import Profile
    from espressivo.speech.segments import SpeechOptions
    from espressivo.speech.windows import Window
    from espressivo.types import Segment


class AnalysisPass:
    """Segments, windows and estimates of one recording, collected block by block.

    Args:
        classifier: A loaded model.
        speech: Thresholds and durations of the speech segmentation.
        profile: Profile of the speaker; None: no adaptation.
        state: State to continue from; None: the beginning of a recording.

    Attributes:
        windows: The classifier of windows, with the profile applied.

    Raises:
        StateError: The state is of another model, or of another profile.
    """

    def __init__(
        self,
        classifier: Classifier,
        speech: SpeechOptions,
        profile: Profile | None,
        state: StreamState | None = None,
    ) -> None:
        self._card = card = classifier.card
        self._speaker = None if profile is None else profile.speaker
        if state is None:
            state = StreamState(card.sha256, self._speaker)
            if profile is not None:
                empty = SpeakerStatistics.empty(profile.n_features)
                state = replace(state, speaker_statistics=empty)
        self._require_same(state)
        self.windows = WindowClassifier(classifier, profile)
        self._chunker = Chunker(card.window, card.minimum, speech, state.chunker)
        self._segments = list(state.segments)
        self._estimates = list(state.estimates)
        self._without = list(state.without)
        self._earlier = state.earlier
        self._speaker_statistics = state.speaker_statistics

    @property
    def n_samples(self) -> int:
        """Number of samples pushed so far."""
        return self._chunker.n_samples

    def state(self, pending: Signal) -> StreamState:
        """Return the complete state, from which another pass can continue.

        Args:
            pending: Samples that the caller has not pushed yet.
        """
        return StreamState(
            model_sha256=self._card.sha256,
            speaker=self._speaker,
            chunker=self._chunker.state,
            pending=pending,
            segments=tuple(self._segments),
            estimates=tuple(self._estimates),
            without=tuple(self._without),
            earlier=self._earlier,
            speaker_statistics=self._speaker_statistics,
        )

    def push(self, block: Signal) -> list[Window]:
        """Add the next samples and return the windows that they complete, in order."""
        segments, windows = self._chunker.push(block)
        self._segments += segments
        return windows

    def finish(self) -> list[Window]:
        """Return the windows that the recording's end completes."""
        segments, windows = self._chunker.finish()
        self._segments += segments
        return windows

    def peek(self, least: int) -> Window | None:
        """Return a provisional window of the newest speech of an open segment.

        Args:
            least: Shortest speech to return, in samples.

        Returns:
            None if no segment is open, or if it is shorter than `least`.
        """
        return self._chunker.peek(least)

    def add(self, predictions: Sequence[Prediction]) -> list[Estimate]:
        """Add predictions of windows, in order, and return their estimates."""
        adapted = self.windows.adapt(predictions)
        for each in adapted:
            if self._speaker_statistics is not None and each.features is not None:
                # Windows are added one at a time, so that the floating-point sums do
                # not depend on the batch size.
                self._speaker_statistics = self._speaker_statistics.with_window(
                    each.features, each.plain.segment.n_samples
                )
                self._without.append(each.plain)
        estimates = [each.estimate for each in adapted]
        self._estimates += estimates
        return estimates

    def forget(self, n_kept: int) -> None:
        """Keep the newest `n_kept` windows and segments; reduce older ones to sums."""
        while len(self._estimates) > n_kept:
            without = self._without.pop(0) if self._without else None
            self._earlier = self._earlier.with_window(self._estimates.pop(0), without)
        while len(self._segments) > n_kept or (
            self._segments and self._segments[0].end <= self._earlier.until
        ):
            gone = self._segments.pop(0)
            n_speech = self._earlier.n_speech + gone.n_samples
            self._earlier = replace(self._earlier, n_speech=n_speech)

    def report(
        self,
        name: str,
        warnings: Sequence[str] = (),
        *,
        track: int | None = None,
        channels: str = "mono",
        gaps: Sequence[Segment] = (),
    ) -> Report:
        """Return the report of a finished pass.

        Args:
            name: Name of the recording in the report.
            warnings: Non-fatal faults of the decoding.
            track: Number of the decoded audio track, from 1; None: not from a file.
            channels: How the channels became one, as in the report.
            gaps: Holes in the time stamps, filled with silence.
        """
        card, statistics, use = self._card, self._speaker_statistics, None
        if statistics is not None:
            # Profiles count recordings with speech only.
            if statistics.n_windows:
                statistics = replace(statistics, n_recordings=1)
            use = self.windows.profile_use(statistics, self._without)
        any_speech = bool(self._segments or self._earlier.n_speech)
        quality = self._chunker.measure() if any_speech else Quality()
        poor = [f"{name}: {each}" for each in quality.warnings]
        voice = (use.warning,) if use and use.warning else ()
        return Report(
            recording=name,
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            emotions=card.emotions,
            duration_s=self.n_samples / SAMPLE_RATE,
            segments=tuple(self._segments),
            estimates=tuple(self._estimates),
            warnings=(*warnings, *poor, *voice),
            profile=use,
            speaker_statistics=statistics,
            earlier=self._earlier if self._earlier.n_windows else None,
            track=track,
            channels=channels,
            gaps=tuple(gaps),
            quality=quality,
            certainty=card.certainty,
        )

    def _require_same(self, state: StreamState) -> None:
        card = self._card
        if state.model_sha256 != card.sha256:
            raise StateError(
                "the stream was saved with a model of sha256 "
                f"{state.model_sha256[:12]}..., and this is {card.name} {card.version} "
                f"({card.sha256[:12]}...); restore it with the model that it was saved "
                "with"
            )
        if state.speaker != self._speaker:
            raise StateError(
                f"the stream was saved with {_called(state.speaker)}, and this is with "
                f"{_called(self._speaker)}; restore it with the same"
            )


def _called(speaker: str | None) -> str:
    return "no profile" if speaker is None else f"the profile of '{speaker}'"
