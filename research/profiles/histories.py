"""Enrolment histories of one speaker, drawn at random: balanced, natural or one-sided.

The clip that is scored is left out of its own history, except in the kind that is
marked transductive.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.types import Emotion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    _Ints = NDArray[np.integer[Any]]
    _Float = NDArray[np.float64]

NATURAL = (0.1, 0.1, 0.7, 0.1)
"""Assumed shares of the emotions in everyday speech: mostly neutral."""


@dataclass(frozen=True, slots=True)
class HistoryKind:
    """A kind of enrolment history.

    Attributes:
        name: `balanced` (every emotion in turn), `natural` (drawn by `NATURAL`), `one`
            or `two` (these emotions only, in turn).
        emotions: Emotions of a one-sided history.
        transductive: Whether the scored clip is in it, as when a whole archive is
            analysed before any clip is scored.
    """

    name: str
    emotions: tuple[int, ...] = ()
    transductive: bool = False

    @property
    def title(self) -> str:
        """Title in tables."""
        if self.transductive:
            return f"{self.name}, clip itself included"
        if not self.emotions:
            return self.name
        return "only " + " and ".join([*Emotion][i] for i in self.emotions)


HISTORY_KINDS = (
    HistoryKind("balanced"),
    HistoryKind("balanced", transductive=True),
    HistoryKind("natural"),
    *(HistoryKind("one", (i,)) for i in range(len(Emotion))),
    *(HistoryKind("two", pair) for pair in combinations(range(len(Emotion)), 2)),
)


def draw_order(kind: HistoryKind, labels: _Ints, rng: np.random.Generator) -> _Ints:
    """Draw the order in which a speaker's clips enter the history, without repetition.

    Args:
        kind: Kind of the history.
        labels: Emotions [N] of the speaker's clips.
        rng: Random generator that draws the order.

    Returns:
        Indices into `labels`. A natural order ends where the next emotion has run out,
        since the remaining clips would have other shares.
    """
    wanted = kind.emotions or range(len(Emotion))
    pools = {i: rng.permutation(np.flatnonzero(labels == i)).tolist() for i in wanted}
    sequence = _natural if kind.name == "natural" else _in_turn
    return np.array(list(sequence(pools, rng)), np.int64)


def _in_turn(pools: dict[int, list[int]], rng: np.random.Generator) -> Iterator[int]:
    while any(pools.values()):
        for emotion in rng.permutation(list(pools)).tolist():
            if pools[emotion]:
                yield pools[emotion].pop()


def _natural(pools: dict[int, list[int]], rng: np.random.Generator) -> Iterator[int]:
    while pools[emotion := int(rng.choice(len(NATURAL), p=NATURAL))]:
        yield pools[emotion].pop()


def leave_one_out_profiles(
    order: _Ints, features: _Float, n: int | None, *, transductive: bool = False
) -> tuple[_Float, _Float]:
    """Return the profile that each clip of a speaker is scored with.

    Args:
        order: Indices of clips in the order in which they enter the history.
        features: Features [N, F] of all clips.
        n: Number of clips in the history; None for all.
        transductive: Whether the history contains the scored clip itself.

    Returns:
        Counts [N, 1] of clips in the histories, which are below `n` where a speaker has
        fewer, and their mean features [N, F].
    """
    n_clips = len(features)
    size = len(order) if n is None else n
    place = np.full(n_clips, len(order))
    place[order] = np.arange(len(order))
    sums = np.vstack([np.zeros_like(features[:1]), np.cumsum(features[order], axis=0)])
    if transductive and size:
        # The clip itself takes one of the places.
        counts, total = _without(place, sums, features, size - 1)
        counts, total = counts + 1, total + features
    else:
        counts, total = _without(place, sums, features, size)
    mean = total / np.maximum(counts, 1)[:, None]
    return counts[:, None].astype(np.float64), mean


def _without(
    place: _Ints, sums: _Float, features: _Float, size: int
) -> tuple[_Ints, _Float]:
    """Return count [N] and sum [N, F] of the first `size` clips without the clip."""
    last = len(sums) - 1
    inside = place < min(size, last)
    # A clip among the first is replaced by the next in line.
    taken = np.where(inside, min(size + 1, last), min(size, last))
    total = sums[taken]
    total[inside] -= features[inside]
    return taken - inside, total
