"""`profile.onnx`: the part of a model that takes what is known of a voice.

All that it computes is inside its graph, so Python, browser and phone share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ModelError
from espressivo.model.session import (
    finite,
    inputs_of,
    last_axes,
    open_graph,
)

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort
    from numpy.typing import NDArray

    from espressivo.model.speaker_statistics import SpeakerStatistics

FILE = "profile.onnx"

_INPUTS = ("embedding", "probabilities", "count", "traits")


@dataclass(frozen=True, slots=True)
class ProfileHeadCard:
    """What `model.json` says about `profile.onnx`.

    Attributes:
        sha256: Of the file, in hexadecimal.
        width: Of the embedding.
        distance_limit: A recording further than this from a profile is probably of
            someone else; 1 is how far a recording of the same voice is on average.
        suspicion: How often that is said of a recording of the same voice, 0 to 1.
    """

    sha256: str
    width: int
    distance_limit: float
    suspicion: float


def read_profile_head_card(details: dict[str, Any]) -> ProfileHeadCard | None:
    """Read the entry `profile` of a model's card; None where the model has none.

    Raises:
        KeyError: The entry lacks something.
        ValueError: It holds something else.
    """
    if (entry := details.get("profile")) is None:
        return None
    return ProfileHeadCard(
        sha256=str(entry["sha256"]),
        width=int(entry["width"]),
        distance_limit=float(entry["distance_limit"]),
        suspicion=float(entry["suspicion"]),
    )


class ProfileHead:
    """Embeddings and a voice to probabilities; safe to call from several threads."""

    def __init__(self, card: ProfileHeadCard, session: ort.InferenceSession) -> None:
        self.card = card
        self._session = session

    def __call__(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        statistics: SpeakerStatistics,
    ) -> NDArray[np.float32]:
        """Return probabilities [B, emotions] given what is known of the voice.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            voice: What was heard of it; when nothing, the result is `probabilities`.
        """
        if not statistics.n_windows:
            return probabilities
        return self.answer(embeddings, probabilities, *_known(statistics))

    def answer(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        traits: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        """Return probabilities [B, emotions], each window with a profile of its own.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            count: [B, 1], windows heard before.
            traits: [B, traits], their mean.
        """
        return self._run("personal", embeddings, probabilities, count, traits)

    def distances(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        traits: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        """Return how far windows [B] are from profiles, given as to `answer`."""
        found = self._run("distance", embeddings, probabilities, count, traits)
        return found[:, 0]

    def trust(self, statistics: SpeakerStatistics) -> float:
        """Return how much a profile counts against the population, 0 to 1."""
        return float(self._of_mean("trust", statistics, statistics))

    def distance(
        self, heard: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        """Return how far a recording is from a profile; 1 is usual of the same voice.

        Args:
            heard: The recording, not empty.
            voice: The profile; 0 is returned where it is empty.
        """
        return float(self._of_mean("distance", heard, statistics))

    def _of_mean(
        self, output: str, heard: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        mean = heard.mean[None].astype(np.float32)
        width = self.card.width
        plain = mean[:, width:-1]
        found = self._run(output, mean[:, :width], plain, *_known(statistics))
        return float(found[0, 0])

    def _run(
        self,
        output: str,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        traits: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        (found,) = self._session.run(
            [output],
            {
                "embedding": embeddings,
                "probabilities": probabilities,
                "count": count.astype(np.float32),
                "traits": traits.astype(np.float32),
            },
        )
        return finite(found, FILE)


def _known(
    statistics: SpeakerStatistics,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return count [1, 1] and mean [1, traits] of a voice."""
    return np.array([[float(statistics.n_windows)]]), statistics.mean[None]


def load_profile_head(
    folder: Path, card: ProfileHeadCard, n_emotions: int
) -> ProfileHead:
    """Load and verify `profile.onnx` of a model folder.

    Raises:
        ModelError: It is missing, altered, or not one of ours.
    """
    path = folder / FILE
    session = open_graph(path, card.sha256)
    inputs, outputs = inputs_of(session), last_axes(session)
    wanted = {"personal": n_emotions, "distance": 1, "trust": 1}
    if inputs != dict.fromkeys(_INPUTS, ("tensor(float)", 2)) or outputs != wanted:
        raise ModelError(
            f"{path}: takes {', '.join(inputs) or 'nothing'} and gives "
            f"{', '.join(outputs)}, not {', '.join(_INPUTS)} and {', '.join(wanted)} "
            f"of {n_emotions} emotions; pass a model that espressivo exported"
        )
    return ProfileHead(card, session)
