"""Histories of unlabelled clips, drawn at random with given shares of the emotions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.types import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Ints = NDArray[np.integer[Any]]

_EMOTIONS = [*Emotion]
_NEUTRAL = _EMOTIONS.index(Emotion.NEUTRAL)


@dataclass(frozen=True, slots=True)
class Content:
    """What a history consists of.

    Attributes:
        title: Title in tables.
        shares: Share of each emotion, in the order of `Emotion`; they sum to 1.
    """

    title: str
    shares: tuple[float, ...]

    def is_met(self, labels: _Ints) -> bool:
        """Return whether clips of these emotions hold all that have a share."""
        present = set(labels.tolist())
        return all(k in present for k, share in enumerate(self.shares) if share > 0)


def _only(*emotions: int) -> Content:
    title = "only " + " and ".join(_EMOTIONS[i] for i in emotions)
    shares = tuple((i in emotions) / len(emotions) for i in range(len(_EMOTIONS)))
    return Content(title, shares)


def _neutral(share: float) -> Content:
    rest = (1 - share) / (len(_EMOTIONS) - 1)
    shares = tuple(share if i == _NEUTRAL else rest for i in range(len(_EMOTIONS)))
    return Content(f"{share:.0%} neutral".replace("%", " %"), shares)


BALANCED = Content("balanced", (0.25,) * 4)
"""Every emotion in turn."""
MOSTLY_NEUTRAL = _neutral(0.7)
"""Our assumption about everyday speech."""
ALMOST_NEUTRAL = _neutral(0.95)
"""Our assumption about a call centre."""
SINGLE = tuple(_only(i) for i in range(len(_EMOTIONS)))
"""One emotion only."""
PAIRS = tuple(_only(*pair) for pair in combinations(range(len(_EMOTIONS)), 2))
"""Two emotions only."""
ONLY_NEUTRAL = SINGLE[_NEUTRAL]
"""Neutral speech only."""
MISSING = tuple(
    Content(f"no {name}", tuple((j != i) / 3 for j in range(len(_EMOTIONS))))
    for i, name in enumerate(_EMOTIONS)
)
"""One emotion missing."""


def draw_history(
    content: Content, labels: _Ints, n: int, rng: np.random.Generator
) -> _Ints:
    """Draw the clips of a history, in the order in which they enter it.

    The next clip is of the emotion that is furthest below its share. Where its clips
    have run out, equal shares go on with the other emotions; unequal ones end, since
    the rest would have other shares.

    Args:
        content: Shares of the emotions.
        labels: Emotions [N] of the clips.
        n: Number of clips that are wanted.
        rng: Random generator.

    Returns:
        Indices into `labels`, each at most once; fewer than `n` where clips run out.
    """
    shares = np.array(content.shares)
    pools = [rng.permutation(np.flatnonzero(labels == k)) for k in range(len(shares))]
    sizes = np.array([len(pool) for pool in pools])
    equal = len(set(shares[shares > 0].tolist())) == 1
    counts = np.zeros(len(shares), np.int64)
    order: list[int] = []
    while len(order) < n:
        lacking = shares * (len(order) + 1) - counts + 1e-9 * rng.random(len(shares))
        # No share: never. Used up: the others go on, if shares are equal.
        barred = (shares == 0) | ((counts == sizes) if equal else False)
        lacking[barred] = -np.inf
        k = int(lacking.argmax())
        if barred[k] or counts[k] == sizes[k]:
            break
        order.append(int(pools[k][counts[k]]))
        counts[k] += 1
    return np.array(order, np.int64)
