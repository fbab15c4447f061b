"""Table II of the study, computed from labels and file names; no audio is read.

Source: Ismail (2025), arXiv 2512.23435, Table II: utterances of each class, and the
class weights of the focal loss, averaged over the five folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from espressivo.errors import CorpusError
from espressivo.training.corpora.utterance import count_emotions
from espressivo.training.folds.splits import leave_one_session_out
from espressivo.training.folds.weights import fold_class_weights
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.corpora.utterance import Utterance

_Row = dict[Emotion, int]
# In the order of `Emotion`: anger, happiness, neutral, sadness.
STUDY_COUNTS: dict[str, _Row] = {
    "iemocap": dict(zip(Emotion, (1103, 1636, 1708, 1084), strict=True)),
    "crema-d": dict(zip(Emotion, (1271, 1271, 1087, 1271), strict=True)),
}
STUDY_WEIGHTS = dict(zip(Emotion, (1.065, 0.913, 0.974, 1.070), strict=True))
_TITLES = {"iemocap": "IEMOCAP", "crema-d": "CREMA-D"}


@dataclass(frozen=True, slots=True)
class TableTwo:
    """Utterances of each class, and the weight of each in the loss.

    Attributes:
        counts: `iemocap` and `crema-d` -> number of utterances of each emotion.
        weights: Class weights N / (4 n) of the training part, averaged over the folds.
        n_folds: Number of folds.
    """

    counts: Mapping[str, Mapping[Emotion, int]]
    weights: Mapping[Emotion, float]
    n_folds: int

    @property
    def as_published(self) -> bool:
        """Whether every number equals the study's; weights to three decimals."""
        rounded = {emotion: round(w, 3) for emotion, w in self.weights.items()}
        return self.counts == STUDY_COUNTS and rounded == STUDY_WEIGHTS

    @property
    def verdict(self) -> str:
        """Sentence that states whether the corpora are as published."""
        if self.as_published:
            return "Every number is the study's, to its last digit."
        return "Not the published corpora: some numbers are not the study's."

    def to_dict(self) -> dict[str, Any]:
        """Return counts and weights as JSON values, beside the study's."""
        return {
            "counts": {name: dict(row) for name, row in self.counts.items()},
            "weights": dict(self.weights),
            "n_folds": self.n_folds,
            "study": {"counts": STUDY_COUNTS, "weights": STUDY_WEIGHTS},
            "as_published": self.as_published,
            "verdict": self.verdict,
        }

    def to_markdown(self) -> str:
        """Return a Markdown table, one row per emotion, with the study's numbers."""
        heads = [head for title in _TITLES.values() for head in (title, "study")]
        lines = [
            f"| emotion | {' | '.join(heads)} | class weight | study |",
            "|---" + "|---:" * (len(heads) + 2) + "|",
        ]
        for emotion in Emotion:
            cells = [
                f"{row[emotion]:,}"
                for name in _TITLES
                for row in (self.counts[name], STUDY_COUNTS[name])
            ]
            cells += [f"{self.weights[emotion]:.3f}", f"{STUDY_WEIGHTS[emotion]:.3f}"]
            lines.append(f"| {emotion} | {' | '.join(cells)} |")
        totals = [
            f"{sum(row.values()):,}"
            for name in _TITLES
            for row in (self.counts[name], STUDY_COUNTS[name])
        ]
        lines.append(f"| all | {' | '.join(totals)} | | |")
        return "\n".join(lines) + "\n"


def table_two(iemocap: Sequence[Utterance], crema_d: Sequence[Utterance]) -> TableTwo:
    """Count classes and average their weights, as the study's Table II does.

    Each session is tested, the next validates, and the other three train together with
    CREMA-D.

    Args:
        iemocap: All utterances of the four emotions in IEMOCAP.
        crema_d: All utterances of the four emotions in CREMA-D, which only trains.

    Raises:
        CorpusError: IEMOCAP does not have five sessions.
        SplitError: A training part lacks a class.
    """
    sessions = sorted({utterance.session for utterance in iemocap})
    if len(sessions) != 5:
        raise CorpusError(
            f"{len(sessions)} sessions of IEMOCAP ({', '.join(sessions)}), not 5; "
            "espressivo corpora check iemocap DIR says what is missing"
        )
    weights = [fold_class_weights(f) for f in leave_one_session_out(iemocap, crema_d)]
    return TableTwo(
        counts={"iemocap": count_emotions(iemocap), "crema-d": count_emotions(crema_d)},
        # Unrounded 1.0648, 0.9127, 0.9739 and 1.0699 if the corpora are complete.
        weights={e: sum(w[e] for w in weights) / len(weights) for e in Emotion},
        n_folds=len(weights),
    )
