"""Models with one damaged weight, and what Python says of what they give."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from espressivo.errors import ModelError
from espressivo.model.classifier import Classifier
from espressivo.model.find import find_model
from espressivo.types import Dimension

if TYPE_CHECKING:
    from collections.abc import Callable

    from espressivo.model.classifier import ModelCard

DIMENSIONS = (Dimension.AROUSAL, Dimension.VALENCE)

# Of probabilities, dimensions and voice, in this order.
MODELS = {
    "sound": (1.0, 1.0, 1.0),
    "NaN": (np.nan, 1.0, 1.0),
    "infinite": (-np.inf, 1.0, 1.0),
    "NaN in the dimensions": (1.0, np.nan, 1.0),
    "NaN in the voice": (1.0, 1.0, np.nan),
}


def damaged_graphs(card: ModelCard) -> dict[str, Any]:
    """Return other graphs than `model.onnx`, and what Python says of each."""
    return {name: damaged_model(card, *each) for name, each in MODELS.items()}


def damaged_model(card: ModelCard, *weights: float) -> dict[str, Any]:
    """Return a model that multiplies the mean of the samples by its weights."""
    assert card.adaptation is not None
    columns = {
        "probabilities": len(card.emotions),
        "dimensions": len(DIMENSIONS),
        "voice": card.adaptation.n_columns,
    }
    outputs = zip(columns.items(), weights, strict=True)
    graph = scaled({name: (n, weight) for (name, n), weight in outputs})
    card = replace(card, dimensions=DIMENSIONS)
    classify = Classifier(card, session(graph), find_model(card.name))
    window = np.full((1, 4), 0.25, np.float32)
    names = ("probabilities", "dimensions")
    return {
        "file": base64.b64encode(graph).decode(),
        "plain": refusal(lambda: classify.run(window, *names)),
        "embedded": refusal(lambda: classify.run(window, *names, "voice")),
    }


def scaled(outputs: dict[str, tuple[int, float]]) -> bytes:
    """Return a graph whose outputs are the mean of its samples, times a number."""
    made = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1]),
                *[
                    helper.make_node("Mul", ["mean", f"{name}.weight"], [name])
                    for name in outputs
                ],
            ],
            "scaled",
            [rows("samples")],
            [rows(name) for name in outputs],
            [
                onnx.numpy_helper.from_array(
                    np.full(n, weight, np.float32), f"{name}.weight"
                )
                for name, (n, weight) in outputs.items()
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
