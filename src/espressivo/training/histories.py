"""What a profile may have heard before: histories of one speaker, drawn at random.

Balanced, natural or one-sided. A clip that is judged is never in its own history,
unless the study asks for that and says so.
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
"""Shares of the emotions in everyday speech as we assume them: mostly neutral."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a history comes about.

    Attributes:
        name: `balanced`: every emotion in turn. `natural`: drawn by `NATURAL`. `one` or
            `two`: nothing but these emotions, in turn.
        emotions: Those of a one-sided history.
        own: Whether the clip that is judged is in it, as when a whole archive is heard
            before anything is judged (transductive).
    """

    name: str
    emotions: tuple[int, ...] = ()
    own: bool = False

    @property
    def title(self) -> str:
        """As a table calls it."""
        if self.own:
            return f"{self.name}, clip itself included"
        if not self.emotions:
            return self.name
        return "only " + " and ".join([*Emotion][i] for i in self.emotions)


KINDS = (
    Kind("balanced"),
    Kind("balanced", own=True),
    Kind("natural"),
    *(Kind("one", (i,)) for i in range(len(Emotion))),
    *(Kind("two", pair) for pair in combinations(range(len(Emotion)), 2)),
)


def draw_order(kind: Kind, labels: _Ints, rng: np.random.Generator) -> _Ints:
    """Draw in which order a speaker's clips come into the history, without repetition.

    Args:
        kind: Of the history.
        labels: [N], emotions of the speaker's clips.
        rng: Draws.

    Returns:
        Indices into `labels`. A natural order ends where an emotion that comes next has
        run out: what remains would be of other shares.
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


def profiles_of(
    order: _Ints, traits: _Float, n: int | None, *, own: bool = False
) -> tuple[_Float, _Float]:
    """Return the profile that each clip of a speaker is judged with.

    Args:
        order: Indices of clips, as they come into the history.
        traits: [N, traits], of all clips.
        n: How many come before a clip is judged; None: all there are.
        own: Whether the clip itself is one of them, where there are any.

    Returns:
        How many there are [N, 1], fewer than `n` where there are no more, and their
        mean [N, traits].
    """
    n_clips = len(traits)
    size = len(order) if n is None else n
    place = np.full(n_clips, len(order))
    place[order] = np.arange(len(order))
    sums = np.vstack([np.zeros_like(traits[:1]), np.cumsum(traits[order], axis=0)])
    if own and size:
        # The clip, and as many others before it as leave room for it.
        counts, total = _without(place, sums, traits, size - 1)
        counts, total = counts + 1, total + traits
    else:
        counts, total = _without(place, sums, traits, size)
    mean = total / np.maximum(counts, 1)[:, None]
    return counts[:, None].astype(np.float64), mean


def _without(
    place: _Ints, sums: _Float, traits: _Float, size: int
) -> tuple[_Ints, _Float]:
    """Return count [N] and sum [N, traits] of the first `size` clips but the own."""
    last = len(sums) - 1
    inside = place < min(size, last)
    # Who stands among the first gives way to the next in line.
    taken = np.where(inside, min(size + 1, last), min(size, last))
    total = sums[taken]
    total[inside] -= traits[inside]
    return taken - inside, total
