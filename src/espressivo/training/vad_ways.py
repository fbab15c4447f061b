"""Ways to hear a long note: where to cut it into windows, and what a model says.

Answers are kept on the disk, so that who is interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from espressivo.analyzer import Analyzer
from espressivo.errors import ModelError
from espressivo.model.classifier import (
    Classifier,
    load_classifier,
)
from espressivo.speech.windows import plan_windows
from espressivo.training.evaluate import require_emotions
from espressivo.training.long_notes import LONGEST_S, shares_found
from espressivo.training.networks.whisper import sinusoids
from espressivo.types import SAMPLE_RATE, Emotion, Segment, Signal
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from espressivo.report import Report
    from espressivo.training.long_notes import LongNote

SHORT_S = 3.0
"""About one clip: how long windows are where they are short."""
WAYS = ("first", "whole", "fixed", "vad", "fixed-short", "vad-short")
"""The first window's length only; all of it at once; windows one after the other; the
product's: windows within the speech that is found; both with short windows, which tells
what speech has to do with it from what length has."""

_POSITION = 1e-4
"""How far a sinusoid may be off: processors round its frequency differently, and late
positions multiply that (0.000008 on an Intel Xeon)."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What a model says of the windows of one note.

    Attributes:
        lengths: int [W], in samples.
        probabilities: float [W, C].
    """

    lengths: NDArray[np.int64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One note, heard in all ways.

    Attributes:
        ways: By name; `vad` holds no window where no speech was found.
        speech_found: Share of the speech that the detector found, 0 to 1.
        gaps_taken: Share of the gaps that it took for speech; NaN without gaps.
    """

    ways: dict[str, Windows]
    speech_found: float
    gaps_taken: float


class Ears:
    """A model that hears notes in all ways.

    Args:
        folder: The model.

    Raises:
        ModelError: The folder is no model of our four emotions.
    """

    def __init__(self, folder: Path) -> None:
        self.classifier = load_classifier(folder)
        columns = require_emotions(self.classifier, folder)
        if columns != sorted(columns):
            raise ModelError(f"{folder}: its emotions are in another order than ours")
        self._unlimited = without_limit(self.classifier, folder)
        self._short = load_classifier(folder)
        self._short.card = replace(self.classifier.card, window_s=SHORT_S)

    def hear(self, note: LongNote, known: Heard | None = None) -> Heard:
        """Hear a note in all ways, but for those that are known."""
        n = len(note.signal)
        first = Segment(0, min(n, _window(self.classifier)))
        ways = dict(known.ways) if known else {}
        if known is None:
            product = self._analyze(note)
            ways["vad"] = _windows(product)
            shares = shares_found(note, product.segments)
        else:
            shares = (known.speech_found, known.gaps_taken)
        hear: dict[str, Callable[[], Windows]] = {
            "first": lambda: _cut(self.classifier, note.signal, [first]),
            "whole": lambda: _cut(self._unlimited, note.signal, [Segment(0, n)]),
            "fixed": lambda: _fixed(self.classifier, note.signal),
            "fixed-short": lambda: _fixed(self._short, note.signal),
            "vad-short": lambda: _windows(self._analyze(note, short=True)),
        }
        for name, heard in hear.items():
            if name not in ways:
                ways[name] = heard()
        return Heard({name: ways[name] for name in WAYS}, *shares)

    def _analyze(self, note: LongNote, *, short: bool = False) -> Report:
        classifier = self._short if short else self.classifier
        analyzer = Analyzer(classifier, threads=1)
        return analyzer.analyze(note.signal, sample_rate=SAMPLE_RATE)


def without_limit(classifier: Classifier, folder: Path) -> Classifier:
    """Return the model with its table of positions continued up to `LONGEST_S`.

    An exported encoder holds the positions of one window only, and refuses more. They
    are sinusoids, so they go on; what the rest of it makes of positions that it never
    saw in training is another matter. A graph without such a table stays as it is.

    Raises:
        ModelError: The table is no sinusoids.
    """
    model = onnx.load(folder / "model.onnx")
    for weight in model.graph.initializer:
        if weight.name != "positions":
            continue
        table = numpy_helper.to_array(weight)
        n = -(-round(len(table) * LONGEST_S) // round(classifier.card.window_s))
        longer = sinusoids(n, table.shape[1]).numpy()
        if not np.allclose(longer[: len(table)], table, atol=_POSITION):
            raise ModelError(f"{folder}: its positions are no sinusoids to go on with")
        longer[: len(table)] = table
        weight.CopyFrom(numpy_helper.from_array(longer, weight.name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Classifier(classifier.card, session, folder)


def _window(classifier: Classifier) -> int:
    return round(classifier.card.window_s * SAMPLE_RATE)


def _fixed(classifier: Classifier, signal: Signal) -> Windows:
    spans = plan_windows(Segment(0, len(signal)), _window(classifier))
    return _cut(classifier, signal, spans)


def _windows(report: Report) -> Windows:
    lengths = [e.segment.n_samples for e in report.estimates]
    rows = np.array([e.probabilities for e in report.estimates], np.float64)
    return Windows(np.array(lengths, np.int64), rows.reshape(-1, len(Emotion)))


def _cut(classifier: Classifier, signal: Signal, spans: list[Segment]) -> Windows:
    least = round(classifier.card.min_s * SAMPLE_RATE)
    rows = []
    for span in spans:
        samples = signal[span.start : span.end]
        samples = np.pad(samples, (0, max(0, least - len(samples))))
        rows.append(classifier(samples[None])[0])
    lengths = np.array([span.n_samples for span in spans])
    return Windows(lengths, np.array(rows, np.float64))


class Answers:
    """What was heard so far, by model and samples: a line of JSON a note.

    Args:
        path: Of the file; made when there is something to keep. A last line that a
            crash cut off counts for nothing; of several of one note the last holds.
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

    def hear(self, ears: Ears, note: LongNote) -> Heard:
        """Return what is known of a note, or hear it and keep that."""
        digest = hashlib.sha256(note.signal.tobytes())
        digest.update(f"{ears.classifier.card.sha256} {__version__}".encode())
        key = digest.hexdigest()
        known = _from_dict(self._known[key]) if key in self._known else None
        if known is not None and set(known.ways) == set(WAYS):
            return known
        self._known[key] = _to_dict(ears.hear(note, known), key)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + json.dumps(self._known[key]) + "\n")
        self._torn = False
        return _from_dict(self._known[key])


def _to_dict(heard: Heard, key: str) -> dict[str, Any]:
    ways = {
        name: {
            "lengths": windows.lengths.tolist(),
            "probabilities": windows.probabilities.tolist(),
        }
        for name, windows in heard.ways.items()
    }
    gaps = None if np.isnan(heard.gaps_taken) else heard.gaps_taken
    return {"key": key, "ways": ways, "speech": heard.speech_found, "gaps": gaps}


def _from_dict(entry: dict[str, Any]) -> Heard:
    ways = {
        name: Windows(
            np.array(way["lengths"], np.int64),
            np.array(way["probabilities"], np.float64).reshape(-1, len(Emotion)),
        )
        for name, way in entry["ways"].items()
    }
    gaps = float("nan") if entry["gaps"] is None else entry["gaps"]
    return Heard(ways, entry["speech"], gaps)
