"""A model folder, verified: `model.onnx` and the `model.json` beside it.

What a model does to its window (scaling, log-mel) is inside its graph, so this file
only has to know that samples go in and probabilities come out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from espressivo.errors import ModelError
from espressivo.types import SAMPLE_RATE, Emotion

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT_VERSION = 1
"""The model folder's layout that this version reads."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What `model.json` says about the graph beside it.

    Attributes:
        emotions: The columns of its output, in order.
        window_s: Longest input it is meant for, in seconds.
        min_s: Shortest, in seconds.
        temperature: Already applied inside the graph; told for the record.
        sha256: Of `model.onnx`, in hexadecimal.
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
    details: dict[str, Any]


class Classifier:
    """Windows to probabilities; safe to call from several threads at once."""

    def __init__(self, card: ModelCard, session: ort.InferenceSession) -> None:
        self.card = card
        self._session = session

    def __call__(self, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map [B, samples] at 16 kHz to probabilities [B, emotions].

        Each row is what it would be alone: one thread computes the whole batch.
        """
        (out,) = self._session.run(["probabilities"], {"samples": signals})
        return np.asarray(out, np.float32)


def load_classifier(folder: Path) -> Classifier:
    """Load and verify a model folder.

    Raises:
        ModelError: A file is missing or altered, the format is newer than this
            version of espressivo, or the graph is not one of ours.
    """
    card = read_card(folder)
    path = folder / "model.onnx"
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{folder}: model.onnx cannot be read ({error.strerror}); "
            "pass a complete model folder"
        ) from error
    if (found := hashlib.sha256(graph).hexdigest()) != card.sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., not {card.sha256[:12]}... as "
            "model.json says; the file was altered or cut off: get the model again"
        )
    options = ort.SessionOptions()
    # One thread a call: callers run several calls at once, which is faster and makes
    # a window's numbers the same on every machine size.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        # The bytes that were hashed, not the file, which may have changed since.
        session = ort.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no public exception types
        first = str(error).splitlines()[0]
        raise ModelError(f"{path}: onnxruntime cannot load it ({first})") from error
    _require_interface(path, session, len(card.emotions))
    return Classifier(card, session)


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
    inputs = {i.name: (i.type, len(i.shape)) for i in session.get_inputs()}
    outputs = {o.name: o for o in session.get_outputs()}
    if inputs != {"samples": ("tensor(float)", 2)}:
        raise ModelError(
            f"{path}: its inputs are {', '.join(inputs) or 'none'}, not `samples` "
            "float32 [batch, time]; pass a model that espressivo exported"
        )
    out = outputs.get("probabilities")
    if out is None or len(out.shape) != 2 or out.shape[1] not in (n_emotions, None):
        raise ModelError(
            f"{path}: its outputs are {', '.join(outputs)}, not `probabilities` "
            f"[batch, {n_emotions}]; pass a model that espressivo exported"
        )
