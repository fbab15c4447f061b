"""Class weights and other balanced weights: all groups have the same total weight."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import SplitError
from espressivo.training.corpora.utterance import count_emotions
from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.folds.splits import Fold


def balanced_weights(
    groups: Sequence[Hashable], total: float | None = None
) -> NDArray[np.float64]:
    """Return a weight for each item such that all groups have the same total.

    With classes as groups, an item of class c gets N / (C n_c), the alpha of the study
    and scikit-learn's "balanced"; with (corpus, class) as groups, a small corpus counts
    as much as a large one.

    Args:
        groups: Group of each item, [N].
        total: Sum of all weights; N when None, so that the mean weight is 1.

    >>> balanced_weights(["a", "a", "a", "b"]).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    counts = Counter(groups)
    whole = len(groups) if total is None else total
    # Divided by the number of groups that occur: an absent one gets no share.
    weight = {group: whole / (len(counts) * n) for group, n in counts.items()}
    return np.array([weight[group] for group in groups], dtype=np.float64)


def class_weights(utterances: Sequence[Utterance]) -> dict[Emotion, float]:
    """Return the balanced weight N / (4 n) of each emotion; all must occur."""
    emotions = [u.emotion for u in utterances if u.emotion is not None]
    found = dict(zip(emotions, balanced_weights(emotions).tolist(), strict=True))
    return {emotion: found[emotion] for emotion in Emotion}


def fold_class_weights(fold: Fold) -> dict[Emotion, float]:
    """Return the class weights of a fold's training part.

    Raises:
        SplitError: The training part lacks a class.
    """
    counts = count_emotions(fold.train)
    # A class without utterances has no finite weight N / (4 n).
    if absent := [emotion for emotion, n in counts.items() if n == 0]:
        raise SplitError(
            f"fold {fold.name}: no {', '.join(absent)} to train on "
            f"({len(fold.train)} utterances); make fewer folds, or add a corpus that "
            "has it to protocol.train_only"
        )
    return class_weights(fold.train)
