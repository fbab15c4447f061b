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

from espressivo.report import ProfileUse
from espressivo.speech import Segmenter, SpeechDetector
from espressivo.types import SAMPLE_RATE, Estimate, Segment, Signal
from espressivo.voice import Voice, traits_of
from espressivo.windows import Window, Windower

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from espressivo.classifier import Classifier
    from espressivo.profile import Profile
    from espressivo.speech import SpeechOptions


class _Answer(NamedTuple):
    """What the model says of one window; all but the first only with a profile."""

    estimate: Estimate
    without: Estimate | None = None
    traits: NDArray[np.float64] | None = None


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
        card = classifier.card
        self._classifier = classifier
        self._profile = profile
        self._threads = threads
        self._batch_size = batch_size
        self._detector = SpeechDetector()
        self._segmenter = Segmenter(speech)
        self._windower = Windower(
            round(card.window_s * SAMPLE_RATE), round(card.min_s * SAMPLE_RATE)
        )
        self._waiting: list[Window] = []
        self._running: deque[Future[list[_Answer]]] = deque()
        self.segments: list[Segment] = []
        self.estimates: list[Estimate] = []
        self._without: list[Estimate] = []
        self.voice = None if profile is None else Voice.unheard(profile.n_traits)
        """What there is to learn from the recording; None without a profile."""

    def listen(self, blocks: Iterable[Signal]) -> int:
        """Take in the whole recording; return how many samples it has."""
        pool = ThreadPoolExecutor(self._threads, "classify")
        try:
            for block in blocks:
                self._push(block, pool)
            n_samples = self._windower.n_samples
            closed = self._segmenter.push(self._detector.finish())
            self._cut([*closed, *self._segmenter.finish(n_samples)])
            self._submit(pool)
            self._collect(0)
            if self.voice is not None and self.voice.n_windows:
                self.voice = replace(self.voice, n_recordings=1)
        finally:
            pool.shutdown(cancel_futures=True)
        return n_samples

    def _push(self, block: Signal, pool: ThreadPoolExecutor) -> None:
        self._windower.push(block)
        self._cut(self._segmenter.push(self._detector.push(block)))
        if (segment := self._segmenter.open) is not None:
            self._waiting += self._windower.cut_open(segment)
        self._windower.forget(self._segmenter.unsettled_from)
        if len(self._waiting) >= self._batch_size:
            self._submit(pool)
        self._collect(2 * self._threads)

    def _cut(self, segments: list[Segment]) -> None:
        for segment in segments:
            # The last frame may reach beyond the recording, by zeros.
            end = min(segment.end, self._windower.n_samples)
            segment = Segment(segment.start, end)  # noqa: PLW2901
            self.segments.append(segment)
            self._waiting += self._windower.cut_closed(segment)

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        for _, group in groupby(self._waiting, key=lambda w: len(w.signal)):
            windows = list(group)  # equal lengths, which a batch must have
            for i in range(0, len(windows), self._batch_size):
                batch = windows[i : i + self._batch_size]
                self._running.append(pool.submit(self._classify, batch))
        self._waiting = []

    def _classify(self, windows: list[Window]) -> list[_Answer]:
        signals = np.stack([window.signal for window in windows])
        classifier, profile = self._classifier, self._profile
        if profile is None:
            return [_Answer(e) for e in _estimates(windows, classifier(signals))]
        rows, embeddings = classifier.listen(signals)
        personal = classifier.require_personal()(embeddings, rows, profile.voice)
        return [
            _Answer(*answer)
            for answer in zip(
                _estimates(windows, personal),
                _estimates(windows, rows),
                traits_of(embeddings, rows),
                strict=True,
            )
        ]

    def _collect(self, n_left: int) -> None:
        """Wait until at most `n_left` batches are on their way."""
        while len(self._running) > n_left:
            for estimate, without, traits in self._running.popleft().result():
                self.estimates.append(estimate)
                if self.voice is not None and without is not None:
                    assert traits is not None  # they come together
                    self._without.append(without)
                    # One by one: the sums must not depend on the size of a batch.
                    n_samples = estimate.segment.n_samples
                    self.voice = self.voice.with_window(traits, n_samples)

    def profile_use(self) -> ProfileUse | None:
        """Say what the profile did, when all was heard."""
        profile = self._profile
        if profile is None or self.voice is None:
            return None
        head, known = self._classifier.require_personal(), profile.voice
        both = self.voice.n_windows and known.n_windows
        return ProfileUse(
            speaker=profile.speaker,
            n_recordings=known.n_recordings,
            n_windows=known.n_windows,
            speech_s=profile.speech_s,
            trust=head.trust(known) if known.n_windows else 0.0,
            distance=head.distance(self.voice, known) if both else None,
            distance_limit=head.card.distance_limit,
            without=tuple(self._without),
        )


def _estimates(windows: list[Window], rows: NDArray[np.float32]) -> list[Estimate]:
    return [
        Estimate(window.segment, tuple(row))
        for window, row in zip(windows, rows.tolist(), strict=True)
    ]
