"""Signals of any lengths as blocks of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.types import SAMPLE_RATE, Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_S = 30.0
"""Default length of a decoded block, in seconds."""


def blocks_of(pieces: Iterable[Signal], block_s: float) -> Iterator[Signal]:
    """Yield consecutive pieces of a signal as blocks of `block_s` seconds.

    The last block may be shorter. A signal without samples yields no block.
    """
    size = max(1, round(block_s * SAMPLE_RATE))
    held: list[Signal] = []
    n_held = 0
    for piece in pieces:
        held.append(piece)
        n_held += len(piece)
        if n_held >= size:
            signal = np.concatenate(held)
            n_whole = n_held // size * size
            yield from np.split(signal[:n_whole], n_whole // size)
            held, n_held = [signal[n_whole:]], n_held - n_whole
    if n_held:
        yield np.concatenate(held)
