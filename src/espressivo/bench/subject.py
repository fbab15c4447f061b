"""Models to benchmark: bundled models, model folders, or bare ONNX graphs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espressivo.bench.onnx_file import weight_files
from espressivo.bench.window_runner import open_samples_graph
from espressivo.errors import ModelError
from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from espressivo.model.session import session_options

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Subject:
    """One model to measure.

    Attributes:
        name: Name in tables.
        path: Path of its graph.
        folder: Folder with its card; None for a bare graph.
        limits_s: Shortest and longest supported input, in seconds; None if unknown.
        n_parameters: Number of parameters from its export.json; None if unknown.
        ua: Unweighted accuracy, 0 to 1, by corpus, from its card.
    """

    name: str
    path: Path
    folder: Path | None = None
    limits_s: tuple[float, float] | None = None
    n_parameters: int | None = None
    ua: dict[str, float] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of the graph with its external weights, in bytes."""
        # Graphs above 2 GB, among others, keep their weights in files beside them.
        beside = weight_files(self.path.read_bytes())
        files = [self.path, *(self.path.with_name(name) for name in beside)]
        return sum(path.stat().st_size for path in files)


def find_subjects(models: Sequence[str]) -> list[Subject]:
    """Return models by bundled name, folder or `.onnx` file, after loading each once.

    Models that share a name are named by their arguments instead.

    Raises:
        ModelError: A model does not exist, is altered, does not load, does not take
            samples, or is given twice.
    """
    twice = [model for model, n in Counter(models).items() if n > 1]
    if twice:
        raise ModelError(f"{twice[0]}: is given twice; give each model once")
    found = [_find(model) for model in models]
    shared = Counter(subject.name for subject in found)
    return [
        replace(subject, name=model) if shared[subject.name] > 1 else subject
        for subject, model in zip(found, models, strict=True)
    ]


def _find(model: str) -> Subject:
    path = Path(model)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise ModelError(f"{model}: there is no such file; pass a .onnx file")
        # The graph is opened here to fail before the measurements begin.
        open_samples_graph(path, session_options(), model)
        return Subject(path.stem, path)
    folder = find_model(model)
    card = load_classifier(folder).card  # also verifies the hash
    return Subject(
        name=card.name,
        path=folder / "model.onnx",
        folder=folder,
        limits_s=(card.min_s, card.window_s),
        n_parameters=_n_parameters(folder),
        ua=_ua(card.details),
    )


def _n_parameters(folder: Path) -> int | None:
    try:
        found = json.loads((folder / "export.json").read_text("utf-8"))["n_parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a model folder may lack export.json
    return found if isinstance(found, int) else None


def _ua(details: dict[str, Any]) -> dict[str, float]:
    """Return UA by corpus, from the card's results on the clips of a single corpus."""
    found = {}
    for result in details.get("results", []):
        # One number a corpus; a score over several corpora belongs to none of them.
        if result.get("protocol") == "clips" and len(result.get("corpora", [])) == 1:
            found[result["corpora"][0]] = float(result["scores"]["ua"])
    return found
