"""Do the shares of the movement depend on how the axes are defined?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.corpora import CORPORA
from research.intensity.movement import MOVED, movements
from research.intensity.space import (
    AROUSAL,
    AXES,
    VALENCE,
    VALENCE_OF_HALVES,
    fit_space,
)
from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from espressivo.training.scores.evaluation import Evaluation


def check_table(
    ravdess: Evaluation,
    others: Mapping[str, Evaluation],
    same_model: Mapping[str, Evaluation],
) -> Table:
    """Return the shares of the movement with axes that are defined in other ways.

    Args:
        ravdess: The evaluation whose movement is measured.
        others: The other corpora, each through the model that never met it.
        same_model: The other corpora through the model of `ravdess`, which they
            trained; may be empty.
    """
    spaces = {"as above": (fit_space([*others.values()]), (0, 1, 2))}
    for name, evaluation in others.items():
        title = CORPORA[name].title if name in CORPORA else name
        spaces[f"axes of {title} alone"] = fit_space([evaluation]), (0, 1, 2)
    halves = fit_space([*others.values()], AROUSAL, VALENCE_OF_HALVES)
    spaces["valence: happiness and neutral minus anger and sadness"] = halves, (0, 1, 2)
    swapped = fit_space([*others.values()], VALENCE, AROUSAL)
    spaces["arousal made perpendicular to valence"] = swapped, (1, 0, 2)
    if same_model:
        same = fit_space([*same_model.values()])
        spaces["other corpora through the model that they trained"] = same, (0, 1, 2)
    table = Table(
        "checks",
        "Share of the squared movement of anger, happiness and sadness, %",
        places=0,
    )
    for title, (space, order) in spaces.items():
        found = movements(ravdess, space)
        three = np.stack([found[e] for e in MOVED], 1)[..., order]
        squares = np.square(three).sum(1)
        shares = 100 * squares / squares.sum(1, keepdims=True)
        table.rows[title] = {axis: Cell.of(shares[:, i]) for i, axis in enumerate(AXES)}
    return table
