"""`profile.onnx`: the part of a model that adapts to a speaker's statistics.

All that it computes is inside its graph, so Python, browser and phone share it.
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

# Names inside published graphs: `traits` is the mean of the feature vectors.
_INPUTS = ("embedding", "probabilities", "count", "traits")


@dataclass(frozen=True, slots=True)
class ProfileHeadCard:
    """What `model.json` says about `profile.onnx`.

    Attributes:
        sha256: Hash of the file, in hexadecimal.
        width: Width of the embedding.
        distance_limit: A recording further than this from a profile is probably of
            someone else; 1 is how far a recording of the same voice is on average.
        suspicion: How often a recording of the same voice exceeds the limit, 0 to 1.
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
    """Embeddings -> probabilities of one speaker; safe to call from several threads."""

    def __init__(self, card: ProfileHeadCard, session: ort.InferenceSession) -> None:
        self.card = card
        self._session = session

    def __call__(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        statistics: SpeakerStatistics,
    ) -> NDArray[np.float32]:
        """Return probabilities [B, emotions] adapted to a speaker.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            statistics: The speaker's; if empty, `probabilities` are returned.
        """
        # An empty profile must change nothing, not even the last digit.
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
        """Return probabilities [B, emotions], each window with a profile of its own.

        Args:
            embeddings: [B, width].
            probabilities: [B, emotions], without a profile.
            count: [B, 1], windows that each profile was made from.
            features: [B, features], the mean of their feature vectors.
        """
        return self._run("personal", embeddings, probabilities, count, features)

    def distances(
        self,
        embeddings: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        count: NDArray[np.floating[Any]],
        features: NDArray[np.floating[Any]],
    ) -> NDArray[np.float32]:
        """Return how far windows [B] are from profiles, given as to `predict`."""
        found = self._run("distance", embeddings, probabilities, count, features)
        return found[:, 0]

    def trust(self, statistics: SpeakerStatistics) -> float:
        """Return how much a profile counts against the population, 0 to 1."""
        return float(self._of_mean("trust", statistics, statistics))

    def distance(
        self, recording: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        """Return how far a recording is from a profile; 1 is usual of the same voice.

        Args:
            recording: Statistics of the recording, not empty.
            statistics: Statistics of the profile; 0 is returned where they are empty.
        """
        return float(self._of_mean("distance", recording, statistics))

    def _of_mean(
        self, output: str, recording: SpeakerStatistics, statistics: SpeakerStatistics
    ) -> float:
        # The graph takes windows; the mean of a recording stands for one.
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
    """Return count [1, 1] and mean [1, features] of a speaker."""
    return np.array([[float(statistics.n_windows)]]), statistics.mean[None]


def load_profile_head(
    folder: Path, card: ProfileHeadCard, n_emotions: int
) -> ProfileHead:
    """Load and verify `profile.onnx` of a model folder.

    Raises:
        ModelError: It is missing, altered, or not one of ours.
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
