"""Profile head (`profile.onnx`): adapts predictions to a speaker's statistics.

The whole computation is inside the graph, so Python, browser and phone share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.errors import ModelError
from espressivo.model.session import finite, inputs_of, last_axes, open_verified

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort
    from numpy.typing import NDArray

    from espressivo.model.speaker_statistics import SpeakerStatistics

FILE = "profile.onnx"

# Input names of published graphs, which must stay. `traits` is the mean feature vector.
_INPUTS = ("embedding", "probabilities", "count", "traits")


@dataclass(frozen=True, slots=True)
class ProfileHeadCard:
    """Card of the profile head: the entry `profile` of `model.json`.

    Attributes:
        sha256: SHA-256 of `profile.onnx`, in hexadecimal.
        width: Length of the embedding.
        distance_limit: Distance from a profile above which a recording is probably of
            another speaker; 1 is the mean distance of recordings of the same speaker.
        suspicion: False alarm rate: share of recordings of the same speaker that exceed
            the limit, 0 to 1.
    """

    sha256: str
    width: int
    distance_limit: float
    suspicion: float


def read_profile_head_card(details: dict[str, Any]) -> ProfileHeadCard | None:
    """Return the card in the entry `profile` of `model.json`; None if there is none.

    Raises:
        KeyError: The entry lacks a field.
        ValueError: A field has another type.
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
    """A loaded profile head: embeddings to speaker-adapted probabilities; thread-safe.

    Args:
        card: Card of the profile head.
        session: ONNX session of `profile.onnx`.
    """

    def __init__(self, card: ProfileHeadCard, session: ort.InferenceSession) -> None:
        self.card = card
        self._session = session

    def __call__(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        statistics: SpeakerStatistics,
    ) -> NDArray[np.float32]:
        """Return probabilities [B, emotions] adapted to one speaker.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            statistics: Statistics of the speaker; if they are empty, `probabilities`
                are returned unchanged.
        """
        # An empty profile must not change even the last digit: the graph is bypassed.
        if not statistics.n_windows:
            return probabilities
        return self.predict(embeddings, probabilities, *_known(statistics))

    def predict(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        features: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        """Return probabilities [B, emotions], with a separate profile for each window.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            count: [B, 1], number of enrolment windows of each profile.
            features: [B, features], mean feature vector of each profile.
        """
        return self._run("personal", embeddings, probabilities, count, features)

    def distances(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        features: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        """Return the distance [B] of each window from its profile; see `predict`."""
        found = self._run("distance", embeddings, probabilities, count, features)
        return found[:, 0]

    def trust(self, statistics: SpeakerStatistics) -> float:
        """Return the weight of a profile against the population, 0 to 1."""
        return float(self._of_mean("trust", statistics, statistics))

    def distance(
        self, recording: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        """Return the distance of a recording from a profile.

        The unit is the mean distance of recordings of the same speaker.

        Args:
            recording: Statistics of the recording, not empty.
            statistics: Statistics of the profile; if they are empty, the result is 0.
        """
        return float(self._of_mean("distance", recording, statistics))

    def _of_mean(
        self, output: str, recording: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        # The graph takes windows, so the recording's mean is passed as a single window.
        # Its layout is that of `features_of`: embedding, probabilities, entropy.
        mean = recording.mean[None].astype(np.float32)
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
        features: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        (found,) = self._session.run(
            [output],
            {
                "embedding": embeddings,
                "probabilities": probabilities,
                "count": count.astype(np.float32),
                "traits": features.astype(np.float32),
            },
        )
        return finite(found, FILE)


def _known(
    statistics: SpeakerStatistics,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a speaker's window count [1, 1] and mean features [1, features]."""
    return np.array([[float(statistics.n_windows)]]), statistics.mean[None]


def load_profile_head(
    folder: Path, card: ProfileHeadCard, n_emotions: int
) -> ProfileHead:
    """Load and verify `profile.onnx` of a model folder.

    Raises:
        ModelError: The file is missing, altered, or has other inputs or outputs.
    """
    path = folder / FILE
    session = open_verified(path, card.sha256)
    inputs, outputs = inputs_of(session), last_axes(session)
    wanted = {"personal": n_emotions, "distance": 1, "trust": 1}
    if inputs != dict.fromkeys(_INPUTS, ("tensor(float)", 2)) or outputs != wanted:
        raise ModelError(
            f"{path}: takes {', '.join(inputs) or 'nothing'} and gives "
            f"{', '.join(outputs)}, not {', '.join(_INPUTS)} and {', '.join(wanted)} "
            f"of {n_emotions} emotions; pass a model that espressivo exported"
        )
    return ProfileHead(card, session)
