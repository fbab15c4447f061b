"""The same histories with other settings of the method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from research.adaptation.parts import (
    SHORT_HISTORIES,
    SHORT_SETTINGS,
    score_settings,
    score_speakers,
)

if TYPE_CHECKING:
    from espressivo.model.adaptation import AdaptationCard
    from research.adaptation.parts import Material
    from research.adaptation.scores import Paired

EXCEPT = "ravdess"
"""The corpus that chooses nothing, and on which no alternative is scored."""

_NOTHING = 1e-6  # variance of what does not move


def variants(card: AdaptationCard) -> dict[str, AdaptationCard]:
    """Return cards with other settings, each by what it changes."""
    nothing = _NOTHING * np.eye(card.n_dims)

    def without(part: int) -> AdaptationCard:
        pairs = {name: getattr(card, name).copy() for name in ("speaker", "setting")}
        for pair in pairs.values():
            pair[part] = nothing
        return replace(card, **pairs)

    return {
        "as shipped": card,
        "offset only": without(1),
        "interaction only": without(0),
        "always all four emotions": replace(card, odds=1e12),
        "all sizes of sets equally probable": replace(card, odds=1.0),
        "discount 0.25": replace(card, discount=0.25),
        "discount 1": replace(card, discount=1.0),
        "most 5": replace(card, most=5.0),
        "most 20": replace(card, most=20.0),
        "patience 5": replace(card, patience=5.0),
        "patience 20": replace(card, patience=20.0),
        "posterior alone, no plain model": replace(card, patience=1e-9),
        "concentration 2": replace(card, concentration=2.0),
        "concentration 10": replace(card, concentration=10.0),
    }


def score_variants(material: Material) -> dict[str, Paired]:
    """Score all variants on short lists of histories and settings."""
    found: dict[str, Paired] = {}
    for title, card in variants(material.card).items():
        varied = replace(material, card=card)
        scores = score_speakers(varied, SHORT_HISTORIES, everything=False)
        for name, paired in scores.items():
            found[f"{title}|{name}"] = paired
        for name, paired in score_settings(varied, SHORT_SETTINGS[2:3]).items():
            found[f"{title}|setting, {name}"] = paired
    return found
