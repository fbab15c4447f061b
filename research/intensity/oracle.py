"""What an offset or a gain is worth if it is known from the labels: upper bounds.

Every clip is given to the nearest class mean of the other corpora, in standard
deviations within a class; the means are moved or scaled by what the labels of the same
clips say. No setting may be chosen by this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.bootstrap import Interval, compare, intervals
from espressivo.training.scores.metrics import score
from espressivo.types import Emotion
from research.intensity.unscripted import class_means, gain, offset
from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats
    from research.intensity.space import AffectSpace

PLAIN = "means of the other corpora"
SCALED = "gain of normal over strong"
_NEUTRAL = list(Emotion).index(Emotion.NEUTRAL)


def moved_means(own: Floats, others: Floats) -> dict[str, Floats]:
    """Return the class means [4, 3] of every kind of correction.

    Args:
        own: Class means [4, 3] of the clips that are judged.
        others: Class means [4, 3] of the other corpora.
    """
    scaled = from_neutral(others, float(gain(own, others)))
    factors = np.array([gain(own, others, (i,)) for i in range(others.shape[1])])
    by_axis = from_neutral(others, factors)
    arousal = np.array([1.0, 0.0, 0.0])
    return {
        PLAIN: others,
        "gain": scaled,
        "gain of each axis": by_axis,
        "offset along arousal": others + arousal * offset(own, others),
        "offset": others + offset(own, others),
        "offset and gain": scaled + offset(own, scaled),
        "offset and gain of each axis": by_axis + offset(own, by_axis),
        "the clips' own class means": own,
    }


def oracle_table(
    parts: Mapping[str, Evaluation],
    spaces: Mapping[str, AffectSpace],
    factors: Mapping[str, float],
    corpora: Sequence[str],
) -> Table:
    """Return UA of the plain class means, and its change with every correction.

    Args:
        parts: The clips, without calm, by title.
        spaces: The space of each part.
        factors: For some parts, a factor that the distances of the plain class means
            from neutral are multiplied by, as one more correction.
        corpora: Titles of the parts that are whole corpora; the last row is their mean.
    """
    table = Table("oracle", "ORACLE: UA, %, and its change in points", places=1)
    for title, part in parts.items():
        space, labels = spaces[title], part.labels
        points = space.place(part.probabilities)
        own = class_means(part, space)[0]
        found = {
            name: nearest(points, means)
            for name, means in moved_means(own, space.means).items()
        }
        plain = found.pop(PLAIN)
        if title in factors:
            scaled = from_neutral(space.means, factors[title])
            found[SCALED] = nearest(points, scaled)
        interval = intervals(labels, plain, part.speakers)["ua"]
        cells = {PLAIN: _percent(score(labels, plain).ua, interval)}
        for name, predicted in ({"the model": part.probabilities} | found).items():
            change = compare(labels, plain, predicted, part.speakers)["ua"]
            cells[name] = _percent(change.difference, change.interval)
        table.rows[title] = cells
    whole = [table.rows[title] for title in corpora]
    names = [name for name in whole[0] if all(name in row for row in whole)]
    table.rows["mean of the corpora"] = {
        name: Cell(float(np.mean([row[name].value for row in whole]))) for name in names
    }
    return table


def from_neutral(means: Floats, factor: float | Floats) -> Floats:
    """Return class means [4, 3] with distances from neutral multiplied by a factor.

    Args:
        means: The class means.
        factor: One factor, or one for each axis [3].
    """
    neutral = means[_NEUTRAL]
    scaled: Floats = neutral + factor * (means - neutral)
    return scaled


def nearest(points: Floats, means: Floats) -> Floats:
    """Return the probabilities [N, 4] of Gaussians of unit covariance around means."""
    distances = np.square(points[:, None] - means).sum(-1)
    weights = np.exp(-0.5 * (distances - distances.min(1, keepdims=True)))
    shares: Floats = weights / weights.sum(1, keepdims=True)
    return shares


def _percent(value: float, interval: Interval) -> Cell:
    return Cell(100 * value, Interval(100 * interval.low, 100 * interval.high))
