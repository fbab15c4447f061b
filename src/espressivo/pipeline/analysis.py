"""One pass over one recording: blocks -> speech -> windows -> estimates.

In constant memory. The calling thread detects speech; a small pool classifies
meanwhile, one window batch a thread, and never falls far behind.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espressivo.model.speaker_statistics import (
    SpeakerStatistics,
    traits_of,
)
from espressivo.report import ProfileUse
from espressivo.speech.chunker import Chunker
from espressivo.types import Estimate, Segment, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from espressivo.model.classifier import Classifier
    from espressivo.profile.profile import Profile
    from espressivo.speech.detector import SpeechOptions
    from espressivo.speech.windows import Window


_AT_ONCE = 64
"""Windows that a profile judges together, which spares a call for each."""


class _Answer(NamedTuple):
    """What the model says of one window; with a profile, what it made of it too."""

    estimate: Estimate
    embedding: NDArray[np.float32] | None = None


class Hearing:
    """One pass over one recording: what was found so far."""

    def __init__(
        self,
        classifier: Classifier,
        speech: SpeechOptions,
        profile: Profile | None,
        *,
        threads: int,
        batch_size: int,
    ) -> None:
        self._classifier = classifier
        self._profile = profile
        self._threads = threads
        self._batch_size = batch_size
        card = classifier.card
        self._cutter = Chunker(card.window, card.minimum, speech)
        self._waiting: list[Window] = []
        self._running: deque[Future[list[_Answer]]] = deque()
        self.segments: list[Segment] = []
        self.estimates: list[Estimate] = []
        self._without: list[Estimate] = []
        self._unjudged: list[_Answer] = []
        self.speaker_statistics = (
            None if profile is None else SpeakerStatistics.empty(profile.n_traits)
        )
        """What there is to learn from the recording; None without a profile."""

    def listen(self, blocks: Iterable[Signal]) -> int:
        """Take in the whole recording; return how many samples it has."""
        pool = ThreadPoolExecutor(self._threads, "classify")
        try:
            for block in blocks:
                self._push(block, pool)
            self._found(*self._cutter.finish())
            self._submit(pool)
            self._collect(0)
            self._judge()
            if (
                self.speaker_statistics is not None
                and self.speaker_statistics.n_windows
            ):
                self.speaker_statistics = replace(
                    self.speaker_statistics, n_recordings=1
                )
        finally:
            pool.shutdown(cancel_futures=True)
        return self._cutter.n_samples

    def _push(self, block: Signal, pool: ThreadPoolExecutor) -> None:
        self._found(*self._cutter.push(block))
        if len(self._waiting) >= self._batch_size:
            self._submit(pool)
        self._collect(2 * self._threads)

    def _found(self, segments: list[Segment], windows: list[Window]) -> None:
        self.segments += segments
        self._waiting += windows

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        for _, group in groupby(self._waiting, key=lambda w: len(w.signal)):
            windows = list(group)  # equal lengths, which a batch must have
            for i in range(0, len(windows), self._batch_size):
                batch = windows[i : i + self._batch_size]
                self._running.append(pool.submit(self._classify, batch))
        self._waiting = []

    def _classify(self, windows: list[Window]) -> list[_Answer]:
        signals = np.stack([window.signal for window in windows])
        if self._profile is None:
            rows = self._classifier(signals)
            return [_Answer(e) for e in _estimates(windows, rows)]
        rows, embeddings = self._classifier.embed(signals)
        answers = zip(_estimates(windows, rows), embeddings, strict=True)
        return [_Answer(*answer) for answer in answers]

    def _collect(self, n_left: int) -> None:
        """Wait until at most `n_left` batches are on their way."""
        while len(self._running) > n_left:
            answers = self._running.popleft().result()
            if self._profile is None:
                self.estimates += [answer.estimate for answer in answers]
                continue
            self._unjudged += answers
            if len(self._unjudged) >= _AT_ONCE:
                self._judge()

    def _judge(self) -> None:
        """Judge the windows that wait for it by the profile, and learn from them."""
        waiting, self._unjudged = self._unjudged, []
        if not waiting or self._profile is None or self.speaker_statistics is None:
            return
        without = [answer.estimate for answer in waiting]
        rows = np.array([e.probabilities for e in without], np.float32)
        found = [a.embedding for a in waiting if a.embedding is not None]  # all have
        embeddings = np.stack(found)
        head = self._classifier.require_profile_head()
        profile_head = head(embeddings, rows, self._profile.speaker_statistics)
        self.estimates += _estimates(without, profile_head)
        self._without += without
        # One by one: the sums must not depend on how many come at once.
        traits = traits_of(embeddings, rows)
        for estimate, row in zip(without, traits, strict=True):
            self.speaker_statistics = self.speaker_statistics.with_window(
                row, estimate.segment.n_samples
            )

    def profile_use(self) -> ProfileUse | None:
        """Say what the profile did, when all was heard."""
        if self._profile is None or self.speaker_statistics is None:
            return None
        without = tuple(self._without)
        return use_of(self._profile, self._classifier, self.speaker_statistics, without)


def use_of(
    profile: Profile,
    classifier: Classifier,
    heard: SpeakerStatistics,
    without: tuple[Estimate, ...],
) -> ProfileUse:
    """Say what a profile did to a recording.

    Args:
        profile: As it was before.
        classifier: The model that both are of.
        heard: Of the recording.
        without: Its windows, had there been no profile.
    """
    head, known = classifier.require_profile_head(), profile.speaker_statistics
    both = heard.n_windows and known.n_windows
    return ProfileUse(
        speaker=profile.speaker,
        n_recordings=known.n_recordings,
        n_windows=known.n_windows,
        speech_s=profile.speech_s,
        trust=head.trust(known) if known.n_windows else 0.0,
        distance=head.distance(heard, known) if both else None,
        distance_limit=head.card.distance_limit,
        without=without,
    )


def _estimates(
    spans: Sequence[Window | Estimate], rows: NDArray[np.float32]
) -> list[Estimate]:
    return [
        Estimate(span.segment, tuple(row))
        for span, row in zip(spans, rows.tolist(), strict=True)
    ]
