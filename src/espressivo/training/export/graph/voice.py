"""Output `voice` of a model that adapts to speakers and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ExportError
from espressivo.training.export.graph.builder import GraphBuilder
from espressivo.training.export.graph.data_movement import producers

if TYPE_CHECKING:
    import onnx

    from espressivo.training.fit.voice_fit import VoiceProjection

VOICE = "voice"
_EMBEDDING = "embedding"
_RAISED, _MISSING = "emotions.raised", "background.missing"


def with_voice(model: onnx.ModelProto, projection: VoiceProjection) -> onnx.ModelProto:
    """Return a copy with a further output, `voice` float32 [batch, D + 1 + A].

    The columns are those of `VoiceProjection.voices`; that of no speech is 0 where the
    network has no class for background. All other nodes stay as they are.

    Args:
        model: Graph from `to_onnx`, in its shipped precision.
        projection: The fitted projection.

    Raises:
        ExportError: The graph computes no embedding.
    """
    made_by = producers(model)
    if _EMBEDDING not in made_by:
        raise ExportError(
            "the graph computes no value named `embedding`, which adaptation needs; "
            "this is a defect of the exporter: report it"
        )
    graph, n_dims = GraphBuilder(), projection.card.n_dims
    # The column of no speech, between the two parts, is 0 so far.
    weight = np.insert(projection.weight.T, n_dims, 0, axis=1)
    bias = np.insert(projection.bias, n_dims, 0)
    if _RAISED not in made_by:
        graph.linear(_EMBEDDING, weight, bias, VOICE)
    else:
        voice = graph.linear(_EMBEDDING, weight, bias, "voice.speech")
        # 1 - sum exp(emotions) / sum exp(raised), but nothing overflows or cancels.
        shares = graph.op("Softmax", [_RAISED], "voice.shares", axis=-1)
        missing = graph.op("Sigmoid", [_MISSING], "voice.missing")
        parts = graph.op("Mul", [shares, missing], "voice.parts")
        noise = graph.reduce("Sum", parts, [1], "voice.noise", keep=True)
        column = graph.weight(np.eye(len(bias))[n_dims], "voice.column")
        placed = graph.op("Mul", [noise, column], "voice.placed")
        graph.op("Add", [voice, placed], VOICE)
    return graph.added_to(model, {VOICE: ["batch", len(bias)]})
