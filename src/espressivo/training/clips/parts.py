"""Random parts of long recordings, as further clips.

A reader of LibriSpeech is one clip of 8 s otherwise. To a classifier with little to go
by thirty such clips say little of other readers; parts of other lengths say more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import ConfigError
from espressivo.training.clips.conditions import utterance_seed
from espressivo.training.clips.load import LoadedClip
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig

SHORTEST_S = 1.0
"""Least length of a part, in seconds."""

LONG_S = 6.0
"""Recordings that are longer give parts, in seconds."""


def parts_of(clips: Sequence[LoadedClip], config: ExperimentConfig) -> list[LoadedClip]:
    """Return random parts of the long clips, `augmentation.parts` of each.

    A part is 1 s to `signal.longest_s` long and has the label of its clip. The seed of
    the configuration determines it.

    Raises:
        ConfigError: The number of parts is below 0, or `signal.longest_s` below 1 s.
    """
    if config.augmentation.parts < 0:
        raise ConfigError(
            f"augmentation.parts is {config.augmentation.parts}; set it to 0 or more"
        )
    if config.augmentation.parts and config.signal.longest_s < SHORTEST_S:
        raise ConfigError(
            f"signal.longest_s is {config.signal.longest_s:g}, and a part of a "
            f"recording is at least {SHORTEST_S:g} s long; raise it, or leave "
            "augmentation.parts out"
        )
    longest = round(config.signal.longest_s * SAMPLE_RATE)
    parts = []
    for clip in clips if config.augmentation.parts else ():
        if clip.n_samples <= LONG_S * SAMPLE_RATE:
            continue
        signal = clip.signal
        seed = utterance_seed(config.seed, clip.utterance.id, "part")
        rng = np.random.default_rng(seed)
        for number in range(config.augmentation.parts):
            n = int(rng.integers(round(SHORTEST_S * SAMPLE_RATE), longest + 1))
            n = min(n, len(signal))
            start = int(rng.integers(len(signal) - n + 1))
            parts.append(
                LoadedClip(
                    replace(clip.utterance, id=f"{clip.utterance.id}/part-{number}"),
                    np.array(signal[start : start + n]),
                    n,
                    f"{clip.digest}-{start}-{n}",
                )
            )
    return parts
