"""The emotion classifier: a verified model folder with `model.onnx` and `model.json`.

A model's feature extraction (scaling, log-mel) is part of its graph, so the interface
is the same for all models: samples in, probabilities out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from espressivo.errors import ModelError
from espressivo.files.reading import read_regular
from espressivo.model.adaptation import AdaptationCard
from espressivo.model.find import find_model, place_of
from espressivo.model.session import finite, inputs_of, last_axes, open_verified
from espressivo.text import reason_of, shortened, to_line
from espressivo.types import SAMPLE_RATE, Dimension, Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import onnxruntime as ort
    from numpy.typing import NDArray

FORMAT_VERSION = 1
"""Version of the model folder's layout that this version of espressivo reads."""

_LONGEST_NAME = 200  # characters of a name or version; they stand in every report


@dataclass(frozen=True, slots=True)
class Certainty:
    """Threshold on the top probability below which an estimate is uncertain.

    Attributes:
        threshold: Lowest top probability of a certain estimate, 0 to 1.
        accuracy: Accuracy of the certain estimates that the threshold was chosen for,
            0 to 1, on corpora that the model was not trained on.

    Source: El-Yaniv and Wiener (2010), On the foundations of noise-free selective
    classification; Geifman and El-Yaniv (2017), Selective classification for deep
    neural networks.
    """

    threshold: float
    accuracy: float

    def is_uncertain(self, probabilities: Iterable[float]) -> bool:
        """Return whether the top probability of an estimate is below the threshold."""
        return max(probabilities) < self.threshold

    def to_dict(self) -> dict[str, float]:
        """Return the fields, JSON-ready."""
        return {"threshold": self.threshold, "accuracy": self.accuracy}


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Model card: the content of `model.json`, which describes `model.onnx`.

    Attributes:
        name: Name of the model.
        version: Version of the model.
        emotions: Emotions in the order of the graph's output columns.
        window_s: Longest input of the graph, in seconds.
        min_s: Shortest input of the graph, in seconds.
        temperature: Softmax temperature, already applied inside the graph.
        sha256: SHA-256 of `model.onnx`, in hexadecimal.
        adaptation: How voices and settings differ; None if the model cannot adapt.
        details: The whole `model.json`, including training corpora and their licences,
            permitted use of the weights, and results with protocol and command.
        certainty: Threshold for uncertain estimates; None if the model has none.
        dimensions: Arousal and the like, in the order of the graph's output
            `dimensions`; empty if the model has none.
    """

    name: str
    version: str
    emotions: tuple[Emotion, ...]
    window_s: float
    min_s: float
    temperature: float
    sha256: str
    adaptation: AdaptationCard | None = field(compare=False)  # it is in `details`
    details: dict[str, Any]
    certainty: Certainty | None = None
    dimensions: tuple[Dimension, ...] = ()

    @property
    def window(self) -> int:
        """Longest input, in samples."""
        return round(self.window_s * SAMPLE_RATE)

    @property
    def minimum(self) -> int:
        """Shortest input, in samples."""
        return round(self.min_s * SAMPLE_RATE)

    def require_adaptation(self) -> AdaptationCard:
        """Return what the model knows of voices and settings.

        Raises:
            ModelError: The model cannot adapt.
        """
        if self.adaptation is None:
            raise ModelError(
                f"{self.name} {self.version}: cannot adapt to a speaker, a setting or "
                "a recording; train it with profile.fit = true, or use another model"
            )
        return self.adaptation


class Classifier:
    """A loaded model that classifies batches of windows; thread-safe.

    A pickled classifier is its folder's place: it is opened and verified again where
    it is loaded. A copy is the classifier itself, since nothing in it changes.
    """

    def __init__(
        self, card: ModelCard, session: ort.InferenceSession, folder: Path
    ) -> None:
        self.card = card
        self._session = session
        self._outputs = last_axes(session)
        self._folder = folder.absolute()  # the working directory may change

    def __call__(self, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map [B, samples] at 16 kHz to probabilities [B, emotions].

        A row does not depend on the batch it is in, since one thread computes it.

        Raises:
            ModelError: The output contains NaN or infinite numbers.
        """
        (out,) = self.run(signals, "probabilities")
        return out

    def run(
        self, signals: NDArray[np.float32], *names: str
    ) -> tuple[NDArray[np.float32], ...]:
        """Map [B, samples] at 16 kHz to outputs of the graph, each float32 [B, ...].

        Args:
            signals: Windows of equal length.
            names: Outputs to compute: `probabilities` [B, emotions]; `dimensions`
                [B, dimensions], in the card's order; `voice` [B, columns], the
                dimensions in which emotions differ, the probability that the window is
                no speech, and the axes in which speakers differ (`AdaptationCard`);
                `embedding` [B, width], the input of the classifying layers.

        Raises:
            ModelError: The model lacks an output, or one contains NaN or infinite
                numbers.
        """
        self._require_outputs(*names)
        found = self._session.run([*names], {"samples": signals})
        return tuple(finite(out, self.card.name) for out in found)

    @property
    def embedding_width(self) -> int:
        """Width of the output `embedding`; 0 if the graph leaves it open.

        Raises:
            ModelError: The model has no such output.
        """
        self._require_outputs("embedding")
        return self._outputs["embedding"] or 0

    def _require_outputs(self, *names: str) -> None:
        if missing := [name for name in names if name not in self._outputs]:
            raise ModelError(
                f"{self.card.name} {self.card.version}: has no output "
                f"{' and '.join(missing)}, only {', '.join(self._outputs)}; export the "
                "model again, or use another model"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_same, (place_of(self._folder), self.card.sha256)

    def __copy__(self) -> Classifier:
        return self

    def __deepcopy__(self, _memo: object) -> Classifier:
        return self

    def require_adaptation(self) -> AdaptationCard:
        """Return what the model knows of voices and settings.

        Raises:
            ModelError: The model cannot adapt.
        """
        return self.card.require_adaptation()


def load_classifier(folder: Path) -> Classifier:
    """Load and verify a model folder.

    Raises:
        ModelError: A file is missing or altered, the format is newer than this
            version of espressivo, or the graph has other inputs or outputs.
    """
    card = read_card(folder)
    path = folder / "model.onnx"
    session = open_verified(path, card.sha256)
    n_emotions = len(card.emotions)
    _require_interface(path, session, n_emotions)
    promised = {"dimensions": len(card.dimensions)} if card.dimensions else {}
    if card.adaptation is not None:
        promised["voice"] = card.adaptation.n_columns
    for output, wanted in promised.items():
        if last_axes(session).get(output, -1) not in (wanted, None):  # None: dynamic
            raise ModelError(
                f"{path}: gives no `{output}` [batch, {wanted}], which model.json says "
                "it does; export the model again"
            )
    return Classifier(card, session, folder)


def _load_same(place: str | Path, sha256: str) -> Classifier:
    """Load the model that was pickled, and not what has taken its place since."""
    classifier = load_classifier(find_model(place))
    if (found := classifier.card.sha256) != sha256:
        raise ModelError(
            f"{place}: holds another model (sha256 {found[:12]}...) than when it was "
            f"pickled ({sha256[:12]}...); load it again with load_model"
        )
    return classifier


def read_card(folder: Path) -> ModelCard:
    """Read the model card (`model.json`) of a model folder.

    Raises:
        ModelError: The card is missing, not JSON, incomplete, or of another format.
    """
    path = folder / "model.json"
    try:
        details = json.loads(read_regular(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: holds no model.json; pass a model folder or a bundled name"
        ) from error
    # RecursionError: deeply nested brackets exhaust the JSON parser.
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: is not readable JSON ({reason_of(error)})"
        ) from error
    if not isinstance(details, dict):
        raise ModelError(f"{path}: is a {type(details).__name__}, not a JSON object")
    version = details.get("format_version")
    if version != FORMAT_VERSION:
        remedy = (
            "update espressivo"
            if isinstance(version, int) and version > FORMAT_VERSION
            else "export the model again"
        )
        raise ModelError(
            f"{path}: format_version is {shortened(repr(version))}, and this version "
            "reads "
            f"{FORMAT_VERSION}; {remedy}"
        )
    try:
        return _card(details)
    except KeyError as error:
        raise ModelError(
            f"{path}: has no {error.args[0]!r}; export the model again"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        reason = shortened(str(error))
        raise ModelError(f"{path}: {reason}; export the model again") from error


def _card(details: dict[str, Any]) -> ModelCard:
    if details["sample_rate_hz"] != SAMPLE_RATE:
        raise ValueError(
            f"sample_rate_hz is {details['sample_rate_hz']}, not {SAMPLE_RATE}"
        )
    card = ModelCard(
        name=_short_text(details, "name"),
        version=_short_text(details, "version"),
        emotions=tuple(Emotion(name) for name in details["emotions"]),
        window_s=float(details["window_s"]),
        min_s=float(details["min_s"]),
        temperature=float(details["temperature"]),
        sha256=str(details["sha256"]),
        adaptation=_adaptation(details),
        details=details,
        certainty=_certainty(details),
        dimensions=_dimensions(details),
    )
    if not 0 < card.min_s <= card.window_s <= 60:
        raise ValueError(
            f"min_s is {card.min_s} and window_s {card.window_s}; "
            "wanted 0 < min_s <= window_s <= 60"
        )
    if not card.emotions or len(set(card.emotions)) != len(card.emotions):
        raise ValueError("emotions is empty or names one twice")
    if card.adaptation and len(card.adaptation.means) != len(card.emotions):
        raise ValueError(
            f"adaptation has means of {len(card.adaptation.means)} emotions, not "
            f"{len(card.emotions)}"
        )
    return card


def _short_text(details: dict[str, Any], key: str) -> str:
    text = str(details[key])
    if len(text) > _LONGEST_NAME or to_line(text) != text:
        raise ValueError(
            f"{key} is {shortened(to_line(text), 40)}; wanted at most {_LONGEST_NAME} "
            "characters, and no control characters"
        )
    return text


def _adaptation(details: dict[str, Any]) -> AdaptationCard | None:
    entry = details.get("adaptation")
    return None if entry is None else AdaptationCard.from_dict(entry)


def _dimensions(details: dict[str, Any]) -> tuple[Dimension, ...]:
    if (entry := details.get("dimensions")) is None:
        return ()
    if not isinstance(entry, dict):
        raise TypeError(f"dimensions is a {type(entry).__name__}, not an object")
    return tuple(Dimension(name) for name in entry)


def _certainty(details: dict[str, Any]) -> Certainty | None:
    if (found := details.get("certainty")) is None:
        return None
    certainty = Certainty(float(found["threshold"]), float(found["accuracy"]))
    if not (0 < certainty.threshold < 1 and 0 < certainty.accuracy <= 1):
        raise ValueError(
            f"certainty has threshold {certainty.threshold} and accuracy "
            f"{certainty.accuracy}; wanted shares between 0 and 1"
        )
    return certainty


def _require_interface(
    path: Path, session: ort.InferenceSession, n_emotions: int
) -> None:
    inputs, outputs = inputs_of(session), last_axes(session)
    if inputs != {"samples": ("tensor(float)", 2)}:
        raise ModelError(
            f"{path}: its inputs are {', '.join(inputs) or 'none'}, not `samples` "
            "float32 [batch, time]; pass a model that espressivo exported"
        )
    if outputs.get("probabilities", -1) not in (n_emotions, None):
        raise ModelError(
            f"{path}: its outputs are {', '.join(outputs)}, not `probabilities` "
            f"[batch, {n_emotions}]; pass a model that espressivo exported"
        )
