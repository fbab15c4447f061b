"""How well a dimension ranks clips whose order is known.

Every score counts pairs of one clip that should be higher and one that should be lower,
by speaker, so that a bootstrap over speakers only adds up counts again.

Source: Hanley and McNeil (1982), the area under the ROC curve as a share of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.bootstrap import resample_speakers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from espressivo.training.scores.metrics import Floats

    _Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Pairs of clips by speaker.

    Attributes:
        won: Number of pairs in the right order, ties counting half, float [S, S]: the
            speaker of the higher clip, that of the lower.
        n: Number of pairs, float [S, S].
        times: How often each speaker counts, as measured and then in R resamples,
            float [1 + R, S].
    """

    won: Floats
    n: Floats
    times: Floats

    @property
    def auc(self) -> Floats:
        """Area under the ROC curve, all speakers' clips compared, [1 + R]."""
        return self._share(self.won, self.n)

    @property
    def within(self) -> Floats:
        """Mean over speakers of the share of their own pairs in order, [1 + R].

        It is NaN if no speaker has clips of both kinds.
        """
        own = self.n.diagonal()
        has = own > 0
        shares = self.won.diagonal()[has] / own[has]
        times = self.times[:, has]
        with np.errstate(invalid="ignore"):
            mean: Floats = times @ shares / times.sum(1)
        return mean

    def _share(self, won: Floats, n: Floats) -> Floats:
        def pairs(counts: Floats) -> Floats:
            found: Floats = ((self.times @ counts) * self.times).sum(1)
            return found

        with np.errstate(invalid="ignore"):
            return pairs(won) / pairs(n)


def compare(
    values: Floats,
    higher: _Flags,
    lower: _Flags,
    speakers: Sequence[str],
    *,
    matched: Sequence[str] | None = None,
    seed: int = 0,
) -> Pairs:
    """Count the pairs that a dimension has in the right order.

    Args:
        values: A dimension of each clip [N].
        higher: Clips that should be higher [N].
        lower: Clips that should be lower [N].
        speakers: Speaker of each clip [N].
        matched: Only clips with the same text here are compared [N]; None: all.
        seed: Seed of the bootstrap over speakers.
    """
    names, owner = np.unique(np.asarray(speakers), return_inverse=True)
    keys = np.zeros(len(values), np.intp)
    if matched is not None:
        keys = np.unique(np.asarray(matched), return_inverse=True)[1]
    won, n = np.zeros((2, len(names), len(names)))
    for key in np.unique(keys):
        up = np.flatnonzero(higher & (keys == key))
        down = np.flatnonzero(lower & (keys == key))
        gaps = np.sign(values[up][:, None] - values[down])
        np.add.at(won, (owner[up][:, None], owner[down]), (gaps + 1) / 2)
        np.add.at(n, (owner[up][:, None], owner[down]), 1.0)
    resampled = resample_speakers(list(speakers), seed)
    once = np.ones((1, len(names)))
    times = once if resampled is None else np.concatenate([once, resampled])
    return Pairs(won, n, times)
