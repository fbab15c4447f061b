"""A signal that is analysed while it comes in, for minutes or for ever.

What comes out depends on the signal alone, never on how it was cut into chunks: the
stream works by frames of 32 ms, and looks at unfinished speech at fixed times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.audio.recording import from_array
from espressivo.errors import StateError
from espressivo.model.speaker_statistics import (
    SpeakerStatistics,
    traits_of,
)
from espressivo.pipeline.analysis import use_of
from espressivo.pipeline.state import StreamState
from espressivo.report import Earlier, Report
from espressivo.speech.chunker import Chunker
from espressivo.speech.detector import FRAME
from espressivo.types import SAMPLE_RATE, Estimate, Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier
    from espressivo.profile.profile import Profile
    from espressivo.speech.detector import SpeechOptions
    from espressivo.speech.windows import Window

_LEAST = SAMPLE_RATE  # less speech than a second says little
_BLOCK = 900 * FRAME  # a longer chunk is worked off in pieces of this


class Stream:
    """A recording that has no end yet; made by `Analyzer.stream`.

    Args:
        classifier: A loaded model.
        speech: When speech begins and ends.
        profile: Of the speaker that is heard.
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
        state = state or _beginning(classifier, profile)
        _require_same(state, classifier, profile)
        self._classifier, self._profile = classifier, profile
        card = classifier.card
        self._cutter = Chunker(card.window, card.minimum, speech, state.cutter)
        # Whole frames, since speech is found by frames.
        self._hop = max(1, round(hop_s * SAMPLE_RATE / FRAME)) * FRAME if hop_s else 0
        self._history = history
        self._pending = state.pending
        self._segments = list(state.segments)
        self._estimates = list(state.estimates)
        self._without = list(state.without)
        self._earlier, self._voice = state.earlier, state.speaker_statistics
        self._finished = False

    @property
    def state(self) -> StreamState:
        """All that it knows: a stream made of it goes on the same."""
        return StreamState(
            model_sha256=self._classifier.card.sha256,
            speaker=_speaker(self._profile),
            cutter=self._cutter.state,
            pending=self._pending,
            segments=tuple(self._segments),
            estimates=tuple(self._estimates),
            without=tuple(self._without),
            earlier=self._earlier,
            speaker_statistics=self._voice,
        )

    @property
    def duration_s(self) -> float:
        """How much has come in, in seconds."""
        return (self._cutter.n_samples + len(self._pending)) / SAMPLE_RATE

    def push(self, chunk: NDArray[Any]) -> list[Estimate]:
        """Add samples; return the estimates that they complete, oldest first.

        Those of speech that still goes on are marked `provisional`: a later one says
        the same more surely.

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
            estimates += self._hear(*self._cutter.push(pending[at : at + n]))
            at += n
            if self._hop and self._cutter.n_samples % self._hop == 0:
                estimates += self._peek()
        self._pending = pending[at:].copy()
        self._forget()
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
        self._hear(*self._cutter.push(self._pending))
        self._hear(*self._cutter.finish())
        self._forget()
        card, speaker_statistics, use = self._classifier.card, self._voice, None
        if speaker_statistics is not None and speaker_statistics.n_windows:
            speaker_statistics = replace(speaker_statistics, n_recordings=1)
        if self._profile is not None and speaker_statistics is not None:
            without = tuple(self._without)
            use = use_of(self._profile, self._classifier, speaker_statistics, without)
        return Report(
            recording=name,
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            emotions=card.emotions,
            duration_s=self._cutter.n_samples / SAMPLE_RATE,
            segments=tuple(self._segments),
            estimates=tuple(self._estimates),
            warnings=(use.warning,) if use is not None and use.warning else (),
            profile=use,
            speaker_statistics=speaker_statistics,
            earlier=self._earlier if self._earlier.n_windows else None,
        )

    def _require_open(self) -> None:
        if self._finished:
            raise StateError("the stream is finished; begin another one")

    def _step(self, n_left: int) -> int:
        """Return how many whole frames to take, in samples: not past a look."""
        n = min(n_left // FRAME * FRAME, _BLOCK)
        if not self._hop:
            return n
        return min(n, self._hop - self._cutter.n_samples % self._hop)

    def _hear(self, segments: list[Segment], windows: list[Window]) -> list[Estimate]:
        self._segments += segments
        estimates = []
        for window in windows:
            estimate, plain, traits = self._classify(window)
            if self._voice is not None and traits is not None:
                n = window.segment.n_samples
                self._voice = self._voice.with_window(traits, n)
                self._without.append(plain)
            estimates.append(estimate)
        self._estimates += estimates
        return estimates

    def _peek(self) -> list[Estimate]:
        if (window := self._cutter.peek(_LEAST)) is None:
            return []
        return [replace(self._classify(window)[0], provisional=True)]

    def _classify(
        self, window: Window
    ) -> tuple[Estimate, Estimate, NDArray[np.float64] | None]:
        """Return an estimate, the same without the profile, and the window's traits."""
        signals = window.signal[None]
        if self._profile is None:
            plain = _estimate(window, self._classifier(signals))
            return plain, plain, None
        rows, embeddings = self._classifier.embed(signals)
        head = self._classifier.require_profile_head()
        profile_head = head(embeddings, rows, self._profile.speaker_statistics)
        traits = traits_of(embeddings, rows)[0]
        return _estimate(window, profile_head), _estimate(window, rows), traits

    def _forget(self) -> None:
        """Keep no more than the newest windows and segments, and sums of the rest."""
        while len(self._estimates) > self._history:
            without = self._without.pop(0) if self._without else None
            self._earlier = _added(self._earlier, self._estimates.pop(0), without)
        while len(self._segments) > self._history or (
            self._segments and self._segments[0].end <= self._earlier.until
        ):
            gone = self._segments.pop(0)
            n_speech = self._earlier.n_speech + gone.n_samples
            self._earlier = replace(self._earlier, n_speech=n_speech)


def _beginning(classifier: Classifier, profile: Profile | None) -> StreamState:
    return StreamState(
        model_sha256=classifier.card.sha256,
        speaker=_speaker(profile),
        cutter=None,
        pending=np.zeros(0, np.float32),
        segments=(),
        estimates=(),
        without=(),
        earlier=Earlier(),
        speaker_statistics=None
        if profile is None
        else SpeakerStatistics.empty(profile.n_traits),
    )


def _require_same(
    state: StreamState, classifier: Classifier, profile: Profile | None
) -> None:
    card, speaker = classifier.card, _speaker(profile)
    if state.model_sha256 != card.sha256:
        raise StateError(
            f"the stream was saved with a model of sha256 {state.model_sha256[:12]}"
            f"..., and this is {card.name} {card.version} ({card.sha256[:12]}...); "
            "restore it with the model that it was saved with"
        )
    if state.speaker != speaker:
        raise StateError(
            f"the stream was saved with {_called(state.speaker)}, and this is with "
            f"{_called(speaker)}; restore it with the same"
        )


def _speaker(profile: Profile | None) -> str | None:
    return None if profile is None else profile.speaker


def _called(speaker: str | None) -> str:
    return "no profile" if speaker is None else f"the profile of '{speaker}'"


def _estimate(window: Window, rows: NDArray[np.float32]) -> Estimate:
    return Estimate(window.segment, tuple(rows[0].tolist()))


def _added(earlier: Earlier, gone: Estimate, without: Estimate | None) -> Earlier:
    n = gone.segment.n_samples
    return replace(
        earlier,
        n_windows=earlier.n_windows + 1,
        until=gone.segment.end,
        n_classified=earlier.n_classified + n,
        sums=_weighted(earlier.sums, gone.probabilities, n),
        sums_without=()
        if without is None
        else _weighted(earlier.sums_without, without.probabilities, n),
    )


def _weighted(
    sums: tuple[float, ...], row: tuple[float, ...], n: int
) -> tuple[float, ...]:
    sums = sums or (0.0,) * len(row)
    return tuple(s + p * n for s, p in zip(sums, row, strict=True))
