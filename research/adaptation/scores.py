"""Paired scores of adapted against plain predictions, with intervals over speakers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from espressivo.training.scores.bootstrap import resample_speakers, sums_by_speaker
from espressivo.training.scores.metrics import ratio, scores_from_sums, utterance_sums
from espressivo.types import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from espressivo.training.scores.metrics import Floats, Labels, Probabilities

    Which = Literal["plain", "adapted", "change"]

_N = len(Emotion)


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Sums over the same predictions, plain and adapted, by speaker.

    Attributes:
        sums: float64 [2, S, K]: plain and adapted; K as `utterance_sums`, then the
            number of certain estimates and of right ones among them.
        n_mean: Mean number of clips in the histories.
    """

    sums: Floats
    n_mean: float

    def scores(self, corpus: str, of: Which = "change") -> dict[str, Floats]:
        """Return `ua`, `ece`, `certain` and `right` (of the certain), each [1 + R].

        The first value is the measured one; the others are those of resampled speakers.

        Args:
            corpus: Name of the corpus, which is part of the seed.
            of: Scores of the plain or the adapted predictions, or the change.
        """
        n_speakers = self.sums.shape[1]
        times = np.ones((1, n_speakers))
        names = [str(i) for i in range(n_speakers)]
        drawn = resample_speakers(names, zlib.crc32(corpus.encode()))
        if drawn is not None:
            times = np.vstack([times, drawn])
        plain, adapted = (_scores(times @ part) for part in self.sums)
        if of == "change":
            return {name: adapted[name] - plain[name] for name in adapted}
        return plain if of == "plain" else adapted


def _scores(sums: Floats) -> dict[str, Floats]:
    found = scores_from_sums(sums[:, :-2], _N)
    total = sums[:, : _N * _N].sum(1)
    return {
        "ua": found["ua"],
        "ece": found["ece"],
        "certain": sums[:, -2] / total,
        "right": ratio(sums[:, -1], sums[:, -2]),
    }


class Tally:
    """Adds up predictions of one condition; a prediction may come in several draws.

    Args:
        speakers: Speakers of all clips of the corpus.
        threshold: Least probability of a certain estimate.
    """

    def __init__(self, speakers: NDArray[np.str_], threshold: float) -> None:
        self._names = np.unique(speakers)
        self._threshold = threshold
        self._sums: Floats | None = None
        self._sizes: list[float] = []

    def add(
        self,
        labels: Labels,
        speakers: NDArray[np.str_],
        plain: Probabilities,
        adapted: Probabilities,
        size: float,
    ) -> None:
        """Add predictions [N, C] of some clips.

        Args:
            labels: Emotions [N].
            speakers: Speakers [N].
            plain: Probabilities without adaptation.
            adapted: Probabilities with it.
            size: Clips in the history.
        """
        rows = [_rows(labels, p, self._threshold) for p in (plain, adapted)]
        found = np.zeros((2, len(self._names), rows[0].shape[1]))
        at = np.searchsorted(self._names, np.unique(speakers))
        for n, part in enumerate(rows):
            found[n, at] = sums_by_speaker(part, speakers.tolist())
        self._sums = found if self._sums is None else self._sums + found
        self._sizes.append(size)

    def paired(self) -> Paired | None:
        """Return the sums; None if nothing was added."""
        if self._sums is None:
            return None
        # Speakers without a prediction are not resampled.
        some = self._sums[0, :, : _N * _N].sum(1) > 0
        return Paired(self._sums[:, some], float(np.mean(self._sizes)))


def _rows(labels: Labels, probabilities: Probabilities, threshold: float) -> Floats:
    certain = probabilities.max(1) >= threshold
    right = certain & (probabilities.argmax(1) == labels)
    sums = utterance_sums(labels, probabilities)
    return np.hstack([sums, certain[:, None], right[:, None]])
