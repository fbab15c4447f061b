"""Export of a run's profile head as `profile.onnx`, with a check and card entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ExportError
from espressivo.model.profile_head import FILE
from espressivo.model.speaker_statistics import features_of
from espressivo.training.export.checks.parity import LARGEST_DRIFT
from espressivo.training.export.graph.profile_head import (
    profile_head_graph,
    with_embedding,
)
from espressivo.training.export.session import open_proto
from espressivo.training.fit.profile_head import ProfileClassifier
from espressivo.training.runs.folder import PROFILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

    from espressivo.types import Signal

_HISTORIES = (0, 1, 3)  # recordings; the last with all there are


@dataclass(frozen=True, slots=True)
class ProfilePart:
    """The profile head of a model that takes profiles.

    Attributes:
        graph: Graph of `profile.onnx`.
        head: The fitted head, which the graph computes.
        drift: Largest difference of the graph's probabilities from the head's.
    """

    graph: onnx.ModelProto
    head: ProfileClassifier
    drift: float

    @property
    def width(self) -> int:
        """Width of the embedding."""
        return int(self.head.weight.shape[1])

    def describe(self, sha256: str) -> dict[str, Any]:
        """Return the card's entry `profile`."""
        head = self.head
        n_emotions = len(head.weight)
        return {
            "file": FILE,
            "sha256": sha256,
            "width": self.width,
            "distance_limit": head.distance_limit,
            "suspicion": head.suspicion,
            "patience": head.patience,
            "discount": head.discount,
            "spread": head.spread,
            "input": (
                f"embedding: float32 [batch, {self.width}] of model.onnx; "
                f"probabilities: float32 [batch, {n_emotions}] of model.onnx; count: "
                "float32 [1 or batch, 1], windows heard before; traits: float32 [1 or "
                f"batch, {self.width + n_emotions + 1}], mean over those of embedding, "
                "probabilities and their entropy in nats"
            ),
            "output": (
                f"personal: float32 [batch, {n_emotions}], probabilities given the "
                "profile; distance: float32 [batch, 1] from it; trust: float32 in it"
            ),
        }


def read_profile_part(
    run: Path,
    fp32: onnx.ModelProto,
    temperature: float,
    name: str,
    recordings: Sequence[Signal],
) -> ProfilePart | None:
    """Return a run's profile head as a checked graph; None if the run has none.

    Args:
        run: Folder of the run.
        fp32: The exact graph of the network.
        temperature: Temperature of its probabilities.
        name: Name of the model.
        recordings: Windows to check with.

    Raises:
        ExportError: The graph does not compute what the head does.
        TrainingError: The head cannot be read.
    """
    if not (run / PROFILE).is_file():
        return None
    head = ProfileClassifier.read(run / PROFILE)
    graph = profile_head_graph(head, temperature, f"{name}-profile")
    # Embeddings of the exact graph: this checks the head, not the quantization.
    session = open_proto(with_embedding(fp32, head.weight.shape[1]))
    pairs = [
        session.run(["embedding", "probabilities"], {"samples": signal[None]})
        for signal in recordings
    ]
    embeddings, plain = (np.concatenate(part) for part in zip(*pairs, strict=True))
    traits = features_of(embeddings, plain)
    profile_head = open_proto(graph)
    drift = 0.0
    # Without history and with one window, trust is 0; both are special cases.
    for size in (*_HISTORIES, len(traits)):
        count = np.array([[size]], np.float32)
        mean = traits[:size].mean(0, keepdims=True) if size else traits[:1] * 0
        (found,) = profile_head.run(
            ["personal"],
            {
                "embedding": embeddings,
                "probabilities": plain,
                "count": count,
                "traits": mean.astype(np.float32),
            },
        )
        wanted = head.probabilities(embeddings, plain, count, mean, temperature)
        drift = max(drift, float(np.abs(found - wanted).max()))
    if not drift <= LARGEST_DRIFT:  # also when it is not a number
        raise ExportError(
            f"the graph for profiles is {drift:.2g} from what was fitted, not at most "
            f"{LARGEST_DRIFT:g}; this is a defect of the exporter: report it"
        )
    return ProfilePart(graph, head, drift)
