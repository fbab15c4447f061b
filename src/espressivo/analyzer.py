"""Recording -> blocks -> speech -> windows -> classifier -> report.

One pass, in constant memory. The calling thread decodes and detects; a small pool
classifies meanwhile, one window batch a thread, and never falls far behind.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from espressivo.audio import BLOCK_S, Recording, from_array
from espressivo.classifier import Classifier, load_classifier
from espressivo.machine import n_cores
from espressivo.models import DEFAULT, find_model
from espressivo.report import Report
from espressivo.speech import Segmenter, SpeechDetector, SpeechOptions
from espressivo.types import SAMPLE_RATE, Estimate, Segment, Signal
from espressivo.windows import Window, Windower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Progress: TypeAlias = Callable[[float, float | None], None]
    """Called with seconds read, and seconds in all where the container tells."""


def load_model(model: str | Path = DEFAULT, **options: Any) -> Analyzer:
    """Load a bundled model by name, or a model folder by path.

    Args:
        model: As `espressivo models` lists them, or a folder.
        options: Those of `Analyzer`.

    Raises:
        ModelError: There is no such model, or it is not what its card says.
    """
    return Analyzer(load_classifier(find_model(model)), **options)


class Analyzer:
    """Find the emotion in recordings, with one model.

    Args:
        classifier: A loaded model.
        speech: When speech begins and ends.
        threads: How many windows are classified at once; by default one a core.
        batch_size: How many windows one call of the model takes.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        speech: SpeechOptions | None = None,
        threads: int | None = None,
        batch_size: int = 4,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; wanted 1 or more")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; wanted 1 or more")
        self.classifier = classifier
        self.speech = speech or SpeechOptions()
        self.threads = threads or n_cores()
        self.batch_size = batch_size

    def analyze(
        self,
        recording: str | Path | NDArray[Any],
        *,
        sample_rate: int = SAMPLE_RATE,
        name: str | None = None,
        block_s: float = BLOCK_S,
        progress: Progress | None = None,
    ) -> Report:
        """Analyse a file or an array, however long.

        Args:
            recording: A path, or samples [samples]: floats in -1..1 or PCM integers.
            sample_rate: Of an array, in Hz; files say their own.
            name: What the report calls the recording; by default its path.
            block_s: Seconds decoded at a time; changes memory, not the report.
            progress: Called after every block.

        Raises:
            AudioError: The recording cannot be read, or the array is not audio.
        """
        if isinstance(recording, str | Path):
            opened = Recording(recording, name)
            blocks, warnings = opened.blocks(block_s), opened.warnings
            label, total_s = opened.name, opened.duration_s
        else:
            signal = from_array(recording, sample_rate)
            size = max(1, round(block_s * SAMPLE_RATE))
            blocks = (signal[i : i + size] for i in range(0, len(signal), size))
            label, total_s = name or "array", len(signal) / SAMPLE_RATE
            warnings = []
        heard = _Heard(self)
        n_samples = heard.listen(_counted(blocks, total_s, progress))
        card = self.classifier.card
        return Report(
            recording=label,
            model=card.name,
            model_version=card.version,
            model_sha256=card.sha256,
            emotions=card.emotions,
            duration_s=n_samples / SAMPLE_RATE,
            segments=tuple(heard.segments),
            estimates=tuple(heard.estimates),
            warnings=tuple(warnings),
        )


def _counted(
    blocks: Iterable[Signal], total_s: float | None, progress: Progress | None
) -> Iterator[Signal]:
    n = 0
    for block in blocks:
        yield block
        n += len(block)
        if progress is not None:
            progress(n / SAMPLE_RATE, total_s)


class _Heard:
    """One pass over one recording: what was found so far."""

    def __init__(self, analyzer: Analyzer) -> None:
        card = analyzer.classifier.card
        self._analyzer = analyzer
        self._detector = SpeechDetector()
        self._segmenter = Segmenter(analyzer.speech)
        self._windower = Windower(
            round(card.window_s * SAMPLE_RATE), round(card.min_s * SAMPLE_RATE)
        )
        self._waiting: list[Window] = []
        self._running: deque[Future[list[Estimate]]] = deque()
        self.segments: list[Segment] = []
        self.estimates: list[Estimate] = []

    def listen(self, blocks: Iterable[Signal]) -> int:
        """Take in the whole recording; return how many samples it has."""
        pool = ThreadPoolExecutor(self._analyzer.threads, "classify")
        try:
            for block in blocks:
                self._push(block, pool)
            n_samples = self._windower.n_samples
            closed = self._segmenter.push(self._detector.finish())
            self._cut([*closed, *self._segmenter.finish(n_samples)])
            self._submit(pool)
            self._collect(0)
        finally:
            pool.shutdown(cancel_futures=True)
        return n_samples

    def _push(self, block: Signal, pool: ThreadPoolExecutor) -> None:
        self._windower.push(block)
        self._cut(self._segmenter.push(self._detector.push(block)))
        if (segment := self._segmenter.open) is not None:
            self._waiting += self._windower.cut_open(segment)
        self._windower.forget(self._segmenter.unsettled_from)
        if len(self._waiting) >= self._analyzer.batch_size:
            self._submit(pool)
        self._collect(2 * self._analyzer.threads)

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
            for i in range(0, len(windows), self._analyzer.batch_size):
                batch = windows[i : i + self._analyzer.batch_size]
                self._running.append(pool.submit(self._classify, batch))
        self._waiting = []

    def _classify(self, windows: list[Window]) -> list[Estimate]:
        rows = self._analyzer.classifier(np.stack([w.signal for w in windows]))
        return [
            Estimate(window.segment, tuple(row))
            for window, row in zip(windows, rows.tolist(), strict=True)
        ]

    def _collect(self, n_left: int) -> None:
        """Wait until at most `n_left` batches are on their way."""
        while len(self._running) > n_left:
            self.estimates += self._running.popleft().result()
