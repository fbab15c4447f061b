"""Models with one damaged weight, and what Python says of what they give."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from espressivo.errors import ModelError
from espressivo.model.classifier import Classifier
from espressivo.model.find import find_model
from espressivo.model.profile_head import ProfileHead
from espressivo.model.speaker_statistics import SpeakerStatistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from espressivo.model.classifier import ModelCard

# Of probabilities and embedding, in this order.
MODELS = {
    "sound": (1.0, 1.0),
    "NaN": (np.nan, 1.0),
    "infinite": (-np.inf, 1.0),
    "NaN in the embedding": (1.0, np.nan),
}
HEADS = {"sound": 1.0, "NaN": np.nan, "infinite": np.inf}


def damaged_graphs(card: ModelCard) -> dict[str, Any]:
    """Return other `model.onnx` and `profile.onnx`, and what Python says of each."""
    return {
        "models": {name: damaged_model(card, *each) for name, each in MODELS.items()},
        "heads": {name: damaged_head(card, each) for name, each in HEADS.items()},
    }


def damaged_model(card: ModelCard, plain: float, embedding: float) -> dict[str, Any]:
    """Return a model that multiplies four samples by its weights."""
    graph = scaled(
        ["samples"],
        {"probabilities": ("samples", plain), "embedding": ("samples", embedding)},
    )
    classify = Classifier(card, session(graph), find_model(card.name))
    window = np.full((1, 4), 0.25, np.float32)
    return {
        "file": base64.b64encode(graph).decode(),
        "plain": refusal(lambda: classify(window)),
        "embedded": refusal(lambda: classify.embed(window)),
    }


def damaged_head(card: ModelCard, weight: float) -> dict[str, Any]:
    """Return what takes a profile, and multiplies what it takes by its weight."""
    graph = scaled(
        ["embedding", "probabilities", "count", "traits"],
        {
            "personal": ("probabilities", weight),
            "distance": ("count", weight),
            "trust": ("count", weight),
        },
    )
    assert card.profile_head is not None
    head = ProfileHead(card.profile_head, session(graph))
    voice = SpeakerStatistics(3, 1, 5_000, np.zeros(9), np.ones(9))
    rows = np.full((1, 4), 0.25, np.float32)
    return {
        "file": base64.b64encode(graph).decode(),
        "answer": refusal(lambda: head(rows, rows, voice)),
        "distance": refusal(lambda: head.distance(voice, voice)),
        "trust": refusal(lambda: head.trust(voice)),
    }


def scaled(inputs: list[str], outputs: dict[str, tuple[str, float]]) -> bytes:
    """Return a graph each of whose outputs is an input times a number."""
    made = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Mul", [source, f"{name}.weight"], [name])
                for name, (source, _) in outputs.items()
            ],
            "scaled",
            [rows(name) for name in inputs],
            [rows(name) for name in outputs],
            [
                onnx.numpy_helper.from_array(np.float32(weight), f"{name}.weight")
                for name, (_, weight) in outputs.items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def rows(name: str) -> onnx.ValueInfoProto:
    """Return an input or output, float32 [batch, any]."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None])


def session(graph: bytes) -> ort.InferenceSession:
    """Open a graph."""
    return ort.InferenceSession(graph, providers=["CPUExecutionProvider"])


def refusal(ask: Callable[[], object]) -> str | None:
    """Return the message of a ModelError, or None where there is none."""
    try:
        ask()
    except ModelError as error:
        return str(error)
    return None
