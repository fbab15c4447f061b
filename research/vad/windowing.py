"""Windowing strategies for long notes, and a model's predictions under each.

Predictions are cached on disk, so that an interrupted study can be resumed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from espressivo.analyzer import Analyzer
from espressivo.errors import ModelError
from espressivo.model.classifier import (
    Classifier,
    load_classifier,
)
from espressivo.model.session import open_session
from espressivo.speech.windows import plan_windows
from espressivo.training.evaluate import require_emotions
from espressivo.training.export.graph.whisper import LONGEST_FRAMES
from espressivo.training.networks.whisper import sinusoids
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal
from espressivo.version import __version__
from research.vad.long_notes import LONGEST_S, shares_found

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.report import Report
    from research.vad.long_notes import LongNote

SHORT_S = 3.0
"""Window length of the `-short` strategies, about one clip."""
STRATEGIES = ("first", "whole", "fixed", "vad", "fixed-short", "vad-short")
"""Windowing strategies, by the name that files give them.

- `first`: the first window only.
- `whole`: the whole note in one pass.
- `fixed`: consecutive windows over the whole note.
- `vad`: windows within detected speech, as the analyzer does.
- `fixed-short`, `vad-short`: the same two with windows of `SHORT_S`, which separates
  the effect of speech detection from that of window length.
"""

_POSITION = 1e-4
"""Tolerance for a sinusoid. Processors round its frequency differently, and late
positions multiply the difference (0.000008 on an Intel Xeon)."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowPredictions:
    """Predictions for the windows of one note.

    Attributes:
        lengths: int [W], in samples.
        probabilities: float [W, C].
    """

    lengths: NDArray[np.int64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NotePredictions:
    """Predictions for one note under every windowing strategy.

    Attributes:
        strategies: Predictions by strategy; `vad` holds no window where no speech was
            detected.
    speech_found: Share of the speech that was detected, 0 to 1.
    gaps_taken: Share of the gaps that was detected as speech; NaN without gaps.
    """

    strategies: dict[str, WindowPredictions]
    speech_found: float
    gaps_taken: float


class StrategyRunner:
    """A model that is run over notes with every windowing strategy.

    Args:
        folder: Folder of the model.

    Raises:
        ModelError: The folder holds no model of the four emotions.
    """

    def __init__(self, folder: Path) -> None:
        self.classifier = load_classifier(folder)
        columns = require_emotions(self.classifier, folder)
        if columns != sorted(columns):
            raise ModelError(f"{folder}: its emotions are in another order than ours")
        self._unlimited = extend_positions(self.classifier, folder)
        self._short = load_classifier(folder)
        self._short.card = replace(self.classifier.card, window_s=SHORT_S)

    def predict(
        self, note: LongNote, known: NotePredictions | None = None
    ) -> NotePredictions:
        """Predict a note under every strategy that is not in `known`."""
        n = len(note.signal)
        first = Segment(0, min(n, _window(self.classifier)))
        strategies = dict(known.strategies) if known else {}
        if known is None:
            product = self._analyze(note)
            strategies["vad"] = _windows(product)
            shares = shares_found(note, product.segments)
        else:
            shares = (known.speech_found, known.gaps_taken)
        run: dict[str, Callable[[], WindowPredictions]] = {
            "first": lambda: _cut(self.classifier, note.signal, [first]),
            "whole": lambda: _cut(self._unlimited, note.signal, [Segment(0, n)]),
            "fixed": lambda: _fixed(self.classifier, note.signal),
            "fixed-short": lambda: _fixed(self._short, note.signal),
            "vad-short": lambda: _windows(self._analyze(note, short=True)),
        }
        for name, predict in run.items():
            if name not in strategies:
                strategies[name] = predict()
        return NotePredictions({name: strategies[name] for name in STRATEGIES}, *shares)

    def _analyze(self, note: LongNote, *, short: bool = False) -> Report:
        classifier = self._short if short else self.classifier
        analyzer = Analyzer(classifier, threads=1)
        return analyzer.analyze(note.signal, sample_rate=SAMPLE_RATE)


def extend_positions(classifier: Classifier, folder: Path) -> Classifier:
    """Return the model with its positional embeddings extended to `LONGEST_S`.

    An exported encoder holds the positions of one window only and refuses longer input.
    The embeddings are sinusoids, so they can be continued; the encoder never saw the
    later positions in training. A graph without positional embeddings is not changed.

    Raises:
        ModelError: The positional embeddings are not sinusoids.
    """
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        if node.name == "positions.frames":  # counts the frames of a formula
            end = np.float32(_longer(LONGEST_FRAMES, classifier))
            node.input[1] = "positions.end"
            model.graph.initializer.append(numpy_helper.from_array(end, node.input[1]))
    for weight in model.graph.initializer:
        if weight.name != "positions":
            continue
        table = numpy_helper.to_array(weight)
        n = _longer(len(table), classifier)
        longer = sinusoids(n, table.shape[1]).numpy()
        if not np.allclose(longer[: len(table)], table, atol=_POSITION):
            raise ModelError(f"{folder}: its positions are no sinusoids to go on with")
        longer[: len(table)] = table
        weight.CopyFrom(numpy_helper.from_array(longer, weight.name))
    session = open_session(model.SerializeToString())
    return Classifier(classifier.card, session, folder)


def _longer(n_frames: int, classifier: Classifier) -> int:
    """Return how many frames `LONGEST_S` has if a window has `n_frames`."""
    return -(-round(n_frames * LONGEST_S) // round(classifier.card.window_s))


def _window(classifier: Classifier) -> int:
    return round(classifier.card.window_s * SAMPLE_RATE)


def _fixed(classifier: Classifier, signal: Signal) -> WindowPredictions:
    spans = plan_windows(Segment(0, len(signal)), _window(classifier))
    return _cut(classifier, signal, spans)


def _windows(report: Report) -> WindowPredictions:
    lengths = [e.segment.n_samples for e in report.estimates]
    rows = np.array([[*e.probabilities.values()] for e in report.estimates], np.float64)
    return WindowPredictions(
        np.array(lengths, np.int64), rows.reshape(-1, len(Emotion))
    )


def _cut(
    classifier: Classifier, signal: Signal, spans: list[Segment]
) -> WindowPredictions:
    least = round(classifier.card.min_s * SAMPLE_RATE)
    rows = []
    for span in spans:
        samples = signal[span.start : span.end]
        samples = np.pad(samples, (0, max(0, least - len(samples))))
        rows.append(classifier(samples[None])[0])
    lengths = np.array([span.n_samples for span in spans])
    return WindowPredictions(lengths, np.array(rows, np.float64))


class PredictionCache:
    """Cache of predictions by model and samples: one line of JSON per note.

    Args:
        path: Path of the file, which is created with the first entry. A last line that
            a crash truncated is ignored; the last of several entries of a note counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        text = path.read_text("utf-8") if path.exists() else ""
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = entry
            except (ValueError, KeyError):
                continue

    def predict(self, runner: StrategyRunner, note: LongNote) -> NotePredictions:
        """Return cached predictions, or compute and store them."""
        digest = hashlib.sha256(note.signal.tobytes())
        digest.update(f"{runner.classifier.card.sha256} {__version__}".encode())
        key = digest.hexdigest()
        known = _from_dict(self._known[key]) if key in self._known else None
        if known is not None and set(known.strategies) == set(STRATEGIES):
            return known
        self._known[key] = _to_dict(runner.predict(note, known), key)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + json.dumps(self._known[key]) + "\n")
        self._torn = False
        return _from_dict(self._known[key])


def _to_dict(predicted: NotePredictions, key: str) -> dict[str, Any]:
    strategies = {
        name: {
            "lengths": windows.lengths.tolist(),
            "probabilities": windows.probabilities.tolist(),
        }
        for name, windows in predicted.strategies.items()
    }
    gaps = None if np.isnan(predicted.gaps_taken) else predicted.gaps_taken
    return {
        "key": key,
        "ways": strategies,
        "speech": predicted.speech_found,
        "gaps": gaps,
    }


def _from_dict(entry: dict[str, Any]) -> NotePredictions:
    strategies = {
        name: WindowPredictions(
            np.array(windows["lengths"], np.int64),
            np.array(windows["probabilities"], np.float64).reshape(-1, len(Emotion)),
        )
        for name, windows in entry["ways"].items()
    }
    gaps = float("nan") if entry["gaps"] is None else entry["gaps"]
    return NotePredictions(strategies, entry["speech"], gaps)
