"""Published results on the supported corpora; none of them was measured here.

Each has its source and its protocol, since results of different protocols are not
comparable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.pooled import (
    Spread,
    spread,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NOT_MEASURED = "published, not measured here"


@dataclass(frozen=True, slots=True)
class Published:
    """One published result.

    Attributes:
        system: Name of the system.
        source: Publication, with the table or figure.
        corpus: Name of the corpus that was tested.
        protocol: Test protocol, and its flaws.
        measures: Measure, named as in `pooled.measures` -> share, 0..1; the standard
            deviation is over folds, and NaN if not published.
        size: Size of the network in words, as published; may be empty.
    """

    system: str
    source: str
    corpus: str
    protocol: str
    measures: Mapping[str, Spread]
    size: str = ""


def _alone(value: float) -> Spread:
    # A standard deviation that was not published is unknown, not 0.
    return Spread(value, float("nan"))


def _per_class(*values: float) -> dict[str, Spread]:
    names = ("f1_anger", "f1_happiness", "f1_neutral", "f1_sadness")
    return {n: _alone(v) for n, v in zip(names, values, strict=True)}


_ISMAIL = "Ismail (2025), arXiv 2512.23435"
_BY_SESSION = "5 folds, leave one session out"
_SUPERB = "5 folds by session, a random 20 % of the rest validates"

# `reproduce.studies` pairs these with its experiments by their order.
STUDY = (
    Published(
        "DistilHuBERT, IEMOCAP only",
        f"{_ISMAIL}, Table I",
        "iemocap",
        _BY_SESSION,
        {
            "wa": Spread(0.595, 0.031),
            "ua": Spread(0.616, 0.039),
            "macro_f1": Spread(0.596, 0.040),
            **_per_class(0.684, 0.541, 0.512, 0.647),
        },
    ),
    Published(
        "DistilHuBERT, with CREMA-D",
        f"{_ISMAIL}, Table I",
        "iemocap",
        _BY_SESSION + ", CREMA-D trains only",
        {
            "wa": Spread(0.607, 0.021),
            "ua": Spread(0.614, 0.030),
            "macro_f1": Spread(0.610, 0.028),
            **_per_class(0.692, 0.563, 0.566, 0.618),
        },
    ),
    Published(
        "DistilHuBERT, production model",
        _ISMAIL,
        "iemocap",
        # The same voices train and test, so it cannot be compared with the above.
        "random split: speakers are in several parts",
        {"wa": _alone(0.7548), "ua": _alone(0.7640)},
        "23 MB",
    ),
    Published(
        "DistilHuBERT, production model",
        f"{_ISMAIL}, Fig. 1",
        "ravdess",
        # Calm is neutral here: the printed matrix gives 43.1 % so, else 49.7 %.
        "trained on IEMOCAP and CREMA-D",
        {"wa": _alone(0.4329), "ua": _alone(0.4618)},
        "23 MB",
    ),
)
"""Results of Ismail (2025), the study that this project reproduces."""

OTHERS = (
    Published(
        "SUPERB, frozen DistilHuBERT",
        "SUPERB benchmark",
        "iemocap",
        _SUPERB,
        # The only one of these rows whose score in each of the five folds we know.
        {"wa": spread((0.6479, 0.6100, 0.6151, 0.6440, 0.6342))},
        "23.49M parameters",
    ),
    Published(
        "SUPERB, frozen wav2vec2-base",
        "SUPERB benchmark",
        "iemocap",
        _SUPERB,
        {"wa": _alone(0.6343)},
        "94-95M parameters",
    ),
    Published(
        "SUPERB, frozen HuBERT-base",
        "SUPERB benchmark",
        "iemocap",
        _SUPERB,
        {"wa": _alone(0.6492)},
        "94-95M parameters",
    ),
    Published(
        "SUPERB, frozen WavLM-base+",
        "SUPERB benchmark",
        "iemocap",
        _SUPERB,
        {"wa": _alone(0.6865)},
        "94-95M parameters",
    ),
    Published(
        "wav2vec2-base, all layers",
        "Pepino et al. (2021)",
        "iemocap",
        # Higher, but a deployed system does not have these statistics.
        "5 folds by session; features scaled by the test speakers' statistics",
        {"ua": _alone(0.672)},
        "95M parameters",
    ),
    Published(
        "wav2vec2-base, all layers",
        "Pepino et al. (2021)",
        "iemocap",
        "5 folds by session; features scaled by the training part's statistics",
        {"ua": _alone(0.658)},
        "95M parameters",
    ),
    Published(
        "emotion2vec",
        "Ma et al. (2023)",
        "iemocap",
        "leave one session out",
        {"wa": _alone(0.7179)},
        "93.8M parameters",
    ),
    Published(
        "LIGHT-SERNET",
        "Aftab et al. (2022)",
        "iemocap",
        "10 folds that leak: talkers are in several parts, and the test part chooses "
        "the epoch",
        {"ua": _alone(0.7076), "wa": _alone(0.7023)},
        "0.46M parameters",
    ),
)
"""Results of other systems on IEMOCAP, each under its own protocol."""

# Two decimals as printed, so scores computed from it are not the exact published ones.
STUDY_CONFUSION: NDArray[np.float64] = np.array(
    [
        [0.97, 0.01, 0.01, 0.01],
        [0.85, 0.03, 0.04, 0.08],
        [0.15, 0.05, 0.20, 0.60],
        [0.05, 0.01, 0.30, 0.64],
    ]
)
"""Confusion matrix [4, 4] of RAVDESS with calm, Fig. 1 of the study; rows actual."""
