"""A model folder, verified: `model.onnx` and the `model.json` beside it.

What a model does to its window (scaling, log-mel) is inside its graph, so this file
only has to know that samples go in and probabilities come out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from espressivo.errors import ModelError
from espressivo.model.profile_head import (
    ProfileHead,
    ProfileHeadCard,
    load_profile_head,
    read_profile_head_card,
)
from espressivo.model.session import finite, inputs_of, last_axes, open_verified
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import onnxruntime as ort
    from numpy.typing import NDArray

FORMAT_VERSION = 1
"""The model folder's layout that this version reads."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What `model.json` says about the graph beside it.

    Attributes:
        name: Name of the model.
        version: Version of the model.
        emotions: The columns of the graph's output, in order.
        window_s: Longest input that the graph is meant for, in seconds.
        min_s: Shortest input, in seconds.
        temperature: Softmax temperature, already applied inside the graph.
        sha256: Hash of `model.onnx`, in hexadecimal.
        profile_head: Card of `profile.onnx`; None: the model takes no profiles.
        details: The whole of `model.json`: training corpora and their licences,
            what the weights may be used for, results with protocol and command.
    """

    name: str
    version: str
    emotions: tuple[Emotion, ...]
    window_s: float
    min_s: float
    temperature: float
    sha256: str
    profile_head: ProfileHeadCard | None
    details: dict[str, Any]

    @property
    def window(self) -> int:
        """Longest input, in samples."""
        return round(self.window_s * SAMPLE_RATE)

    @property
    def minimum(self) -> int:
        """Shortest input, in samples."""
        return round(self.min_s * SAMPLE_RATE)


class Classifier:
    """Windows -> probabilities; safe to call from several threads at once."""

    def __init__(
        self, card: ModelCard, session: ort.InferenceSession, folder: Path
    ) -> None:
        self.card = card
        self._session = session
        self._folder = folder
        self._profile_head: ProfileHead | None = None
        self._loading = Lock()

    def __call__(self, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map [B, samples] at 16 kHz to probabilities [B, emotions].

        Each row is what it would be alone: one thread computes the whole batch.

        Raises:
            ModelError: The model gives NaN or infinite numbers.
        """
        (out,) = self._session.run(["probabilities"], {"samples": signals})
        return finite(out, self.card.name)

    def embed(
        self, signals: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map [B, samples] to probabilities [B, emotions] and embeddings [B, width].

        Raises:
            ModelError: The model gives no embedding, or NaN or infinite numbers.
        """
        self.require_profile_head()
        names = ["probabilities", "embedding"]
        rows, embeddings = self._session.run(names, {"samples": signals})
        name = self.card.name
        return finite(rows, name), finite(embeddings, name)

    def require_profile_head(self) -> ProfileHead:
        """Return the profile head; it is loaded and verified on the first call.

        Raises:
            ModelError: The model has no such part, or it is not what the card says.
        """
        if (card := self.card.profile_head) is None:
            raise ModelError(
                f"{self.card.name} {self.card.version}: takes no speaker's profile; "
                "train it with profile.fit = true, or use another model"
            )
        # Late, since few users have a profile; once, though several threads may ask.
        with self._loading:
            if self._profile_head is None:
                n_emotions = len(self.card.emotions)
                self._profile_head = load_profile_head(self._folder, card, n_emotions)
            return self._profile_head


def load_classifier(folder: Path) -> Classifier:
    """Load and verify a model folder.

    Raises:
        ModelError: A file is missing or altered, the format is newer than this
            version of espressivo, or the graph is not one of ours.
    """
    card = read_card(folder)
    path = folder / "model.onnx"
    session = open_verified(path, card.sha256)
    n_emotions = len(card.emotions)
    _require_interface(path, session, n_emotions)
    if card.profile_head is not None:
        found = last_axes(session).get("embedding", -1)
        if found not in (card.profile_head.width, None):  # None: a dynamic axis
            raise ModelError(
                f"{path}: gives no `embedding` "
                f"[batch, {card.profile_head.width}], which "
                "model.json says it does; export the model again"
            )
    return Classifier(card, session, folder)


def read_card(folder: Path) -> ModelCard:
    """Read `model.json` of a model folder.

    Raises:
        ModelError: It is missing, not JSON, incomplete, or of a newer format.
    """
    path = folder / "model.json"
    try:
        details = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: holds no model.json; pass a model folder or a bundled name"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: is not readable JSON ({error})") from error
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
            f"{path}: format_version is {version!r}, and this version reads "
            f"{FORMAT_VERSION}; {remedy}"
        )
    try:
        return _card(details)
    except KeyError as error:
        raise ModelError(
            f"{path}: has no {error.args[0]!r}; export the model again"
        ) from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}; export the model again") from error


def _card(details: dict[str, Any]) -> ModelCard:
    if details["sample_rate_hz"] != SAMPLE_RATE:
        raise ValueError(
            f"sample_rate_hz is {details['sample_rate_hz']}, not {SAMPLE_RATE}"
        )
    card = ModelCard(
        name=str(details["name"]),
        version=str(details["version"]),
        emotions=tuple(Emotion(name) for name in details["emotions"]),
        window_s=float(details["window_s"]),
        min_s=float(details["min_s"]),
        temperature=float(details["temperature"]),
        sha256=str(details["sha256"]),
        profile_head=read_profile_head_card(details),
        details=details,
    )
    if not 0 < card.min_s <= card.window_s <= 60:
        raise ValueError(
            f"min_s is {card.min_s} and window_s {card.window_s}; "
            "wanted 0 < min_s <= window_s <= 60"
        )
    if not card.emotions or len(set(card.emotions)) != len(card.emotions):
        raise ValueError("emotions is empty or names one twice")
    return card


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
