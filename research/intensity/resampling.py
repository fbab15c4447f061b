"""Means of groups of clips, as measured and in bootstrap resamples of the speakers."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.scores.bootstrap import resample_speakers, sums_by_speaker
from espressivo.training.scores.metrics import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.scores.metrics import Floats

_Key = TypeVar("_Key")


def group_means(
    rows: Floats, groups: Sequence[_Key], speakers: Sequence[str]
) -> dict[_Key, Floats]:
    """Return the mean row [1 + R, K] of each group: as measured, then in R resamples.

    All groups see the same resamples, so that differences between them are paired. A
    resample that lacks a group has NaN there.

    Args:
        rows: float64 [N, K].
        groups: Group of each row.
        speakers: Speaker of each row.

    Raises:
        CorpusError: There is one speaker only.
    """
    # Corpora are resampled independently of each other.
    seed = zlib.crc32(" ".join(sorted(set(speakers))).encode())
    drawn = resample_speakers(speakers, seed)
    if drawn is None:
        raise CorpusError("intervals over speakers need two of them; pass more clips")
    times = np.vstack([np.ones((1, drawn.shape[1])), drawn])
    means = {}
    for group in dict.fromkeys(groups):
        member = np.array([g == group for g in groups], np.float64)[:, None]
        sums = times @ sums_by_speaker(
            np.hstack([rows, np.ones_like(member)]) * member, speakers
        )
        means[group] = ratio(sums[:, :-1], np.repeat(sums[:, -1:], rows.shape[1], 1))
    return means
