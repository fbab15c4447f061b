"""Analysis pass over one recording: intermediate results and the final report.

Files and streams share it. They differ in how windows are batched: `recordings.py`
classifies batches in threads, `stream.py` each window by itself as it is completed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import StateError
from espressivo.model.window_statistics import WindowStatistics
from espressivo.pipeline.state import StreamState
from espressivo.report import Report
from espressivo.speech.chunker import Chunker
from espressivo.speech.loudness import LoudnessMeter
from espressivo.speech.quality import Quality
from espressivo.speech.segments import SpeechOptions
from espressivo.types import SAMPLE_RATE, Estimate, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.pipeline.window_classifier import Prediction, WindowClassifier
    from espressivo.profile.profile import Profile
    from espressivo.speech.windows import Window
    from espressivo.types import Segment


class AnalysisPass:
    """Segments, windows and estimates of one recording, collected block by block.

    Args:
        windows: The classifier of windows, and what it adapts to.
        speech: Thresholds and durations of the speech segmentation.
        state: State to continue from; None: the beginning of a recording.
        loudness: Whether to measure it; not for streams, whose length is unlimited.

    Raises:
        StateError: The state is of another model, profile or setting.
    """

    def __init__(
        self,
        windows: WindowClassifier,
        speech: SpeechOptions,
        state: StreamState | None = None,
        *,
        loudness: bool = False,
    ) -> None:
        self.windows = windows
        self._loudness = LoudnessMeter() if loudness else None
        self._card = card = windows.classifier.card
        options = windows.options
        self._names = _name(options.profile), _name(options.setting)
        self._speech = speech
        if state is None:
            state = StreamState(card.sha256, *self._names)
        else:
            self._require_same(state)
        self._chunker = Chunker(card.window, card.minimum, speech, state.chunker)
        self._segments = list(state.segments)
        self._estimates = list(state.estimates)
        self._without = list(state.without)
        self._voices = list(state.voices)
        self._earlier = state.earlier
        self._statistics = state.statistics
        if state.statistics is None and windows.hears_voices:
            known = windows.classifier.require_adaptation()
            self._statistics = WindowStatistics.empty(known.n_dims, known.n_axes)

    @property
    def n_samples(self) -> int:
        """Number of samples pushed so far."""
        return self._chunker.n_samples

    def state(self, pending: Signal) -> StreamState:
        """Return the complete state, from which another pass can continue.

        Args:
            pending: Samples that the caller has not pushed yet.
        """
        speaker, setting = self._names
        return StreamState(
            model_sha256=self._card.sha256,
            speaker=speaker,
            setting=setting,
            known=self.windows.known,
            speech=self._speech,
            chunker=self._chunker.state,
            pending=pending,
            segments=tuple(self._segments),
            estimates=tuple(self._estimates),
            without=tuple(self._without),
            voices=tuple(self._voices),
            earlier=self._earlier,
            statistics=self._statistics,
        )

    def push(self, block: Signal) -> list[Window]:
        """Add the next samples and return the windows that they complete, in order."""
        segments, windows = self._chunker.push(block)
        self._segments += segments
        if self._loudness is not None:
            self._loudness.push(block)
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
        """Add predictions of windows, in order, and return their estimates.

        They are the plain model's if the recording is a part of its history, since that
        is known at its end only.
        """
        for each in predictions:
            if self._statistics is not None and each.voice is not None:
                # Windows are added one at a time, so that the floating-point sums do
                # not depend on the batch size.
                self._statistics = self._statistics.with_window(
                    each.voice, each.plain.segment.n_samples
                )
                self._voices.append(each.voice)
        estimates = self.adapted(predictions)
        self._estimates += estimates
        if self.windows.options.adapts:
            self._without += [each.plain for each in predictions]
        return estimates

    def adapted(self, predictions: Sequence[Prediction]) -> list[Estimate]:
        """Return estimates adapted to the profiles, without adding them."""
        plain = [each.plain for each in predictions]
        voices = [each.voice for each in predictions if each.voice is not None]
        return self.windows.adapt(plain, voices, self.windows.posterior())

    def forget(self, n_kept: int) -> None:
        """Keep the newest `n_kept` windows and segments; reduce older ones to sums."""
        while len(self._estimates) > n_kept:
            without = self._without.pop(0) if self._without else None
            self._earlier = self._earlier.with_window(self._estimates.pop(0), without)
            del self._voices[:1]
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
        card, statistics, use = self._card, self._statistics, None
        estimates = self._estimates
        if statistics is not None:
            # Profiles count recordings with speech only.
            if statistics.n_windows:
                statistics = replace(statistics, n_recordings=1)
            posterior = self.windows.posterior(statistics)
            if self.windows.options.recording:
                estimates = self.windows.adapt(self._without, self._voices, posterior)
            use = self.windows.effect(posterior, statistics, self._without)
        any_speech = bool(self._segments or self._earlier.n_speech)
        quality = self._chunker.measure() if any_speech else Quality()
        poor = [f"{name}: {each}" for each in quality.warnings]
        n_columns = 0 if card.adaptation is None else card.adaptation.n_columns
        voices = np.array(self._voices, np.float32).reshape(
            len(self._voices), n_columns
        )
        return Report(
            recording=name,
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            emotions=card.emotions,
            duration_s=self.n_samples / SAMPLE_RATE,
            segments=tuple(self._segments),
            estimates=tuple(estimates),
            warnings=(*warnings, *poor, *(use.warnings if use else ())),
            adaptation=use,
            statistics=statistics,
            voices=None if statistics is None else voices,
            earlier=self._earlier if self._earlier.n_windows else None,
            track=track,
            channels=channels,
            gaps=tuple(gaps),
            quality=quality,
            certainty=card.certainty,
            dimension_names=card.dimensions,
            loudness=None if self._loudness is None else self._loudness.measure(),
            detection=None if self._speech == SpeechOptions() else self._speech,
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
        self._require_same_profiles(state)
        if state.speech is not None and state.speech != self._speech:
            raise StateError(
                f"the stream was saved with {state.speech}, and this is with "
                f"{self._speech}; restore it with the same `speech`"
            )
        # Or voices would be there of some windows only.
        if (state.statistics is not None) != self.windows.hears_voices:
            before, now = "with", "without"
            if self.windows.hears_voices:
                before, now = now, before
            raise StateError(
                f"the stream was saved {before} voices, and this is {now} them; "
                "restore it with the same `voices`"
            )
        for e in state.estimates[:1]:
            columns = (*e.probabilities,), (*(e.dimensions or {}),)
            if columns != (card.emotions, card.dimensions):
                raise StateError(
                    "the saved stream has other emotions or dimensions; begin a new one"
                )
        if (heard := state.statistics) is not None:
            known = self.windows.classifier.require_adaptation()
            if (heard.n_dims, heard.n_axes) != (known.n_dims, known.n_axes):
                raise StateError("the saved stream has other voices; begin a new one")

    def _require_same_profiles(self, state: StreamState) -> None:
        if (saved := (state.speaker, state.setting)) != self._names:
            raise StateError(
                f"the stream was saved with {_called(*saved)}, and this is with "
                f"{_called(*self._names)}; restore it with the same"
            )
        if state.known and state.known != self.windows.known:
            raise StateError(
                f"the stream was saved with {_called(*saved)} of another content (it "
                "has learned since, or another has its name); restore it with the same"
            )


def _name(profile: Profile | None) -> str | None:
    return None if profile is None else profile.name


def _called(speaker: str | None, setting: str | None) -> str:
    known = {"the profile of": speaker, "the setting": setting}
    named = [f"{what} '{name}'" for what, name in known.items() if name is not None]
    return " and ".join(named) or "no profile"
