"""Corpora compared: class means, how far apart they are, unscripted against acted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.corpora import CORPORA
from espressivo.types import Emotion
from research.intensity.resampling import group_means
from research.intensity.space import AXES, without_calm
from research.tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats
    from research.intensity.space import AffectSpace

_NEUTRAL = list(Emotion).index(Emotion.NEUTRAL)
_OTHERS = [k for k in range(len(Emotion)) if k != _NEUTRAL]


def class_means(evaluation: Evaluation, space: AffectSpace) -> Floats:
    """Return the class means [1 + R, 4, 3] of a corpus, calm left out."""
    kept = without_calm(evaluation)
    means = group_means(
        space.place(kept.probabilities), kept.labels.tolist(), kept.speakers
    )
    return np.stack([means[k] for k in range(len(Emotion))], 1)


def offset(means: Floats, others: Floats) -> Floats:
    """Return class means [..., 4, 3] minus others, as a mean over classes [..., 3]."""
    found: Floats = (means - others).mean(-2)
    return found


def gain(means: Floats, others: Floats, axes: Sequence[int] = (0, 1, 2)) -> Floats:
    """Return how far emotions lie from neutral, relative to other class means.

    It is the least-squares factor g in `means - neutral = g * (others - neutral)`.

    Args:
        means: Class means [..., 4, 3].
        others: Class means [4, 3] that the factor is relative to.
        axes: The axes that count.
    """
    own, wanted = _from_neutral(means)[..., axes], _from_neutral(others)[..., axes]
    found: Floats = (own * wanted).sum((-2, -1)) / np.square(wanted).sum((-2, -1))
    return found


def scatter(evaluation: Evaluation, space: AffectSpace) -> Floats:
    """Return the standard deviation within a class [3]; about 1 on other corpora."""
    points, labels = space.place(evaluation.probabilities), evaluation.labels
    variances = [points[labels == k].var(0) for k in range(len(Emotion))]
    found: Floats = np.sqrt(np.mean(variances, axis=0))
    return found


def spread_table(
    parts: Mapping[str, Evaluation],
    means: Mapping[str, Floats],
    spaces: Mapping[str, AffectSpace],
) -> Table:
    """Return offset and gain of the class means of each part, and its own scatter.

    Args:
        parts: The clips, without calm, by title.
        means: Their class means [1 + R, 4, 3].
        spaces: The space of each, whose class means they are compared with.
    """
    table = Table(
        "spread",
        "Class means against those of the other corpora: offset in standard deviations "
        "within a class of these, gain as a factor; own standard deviation (scatter)",
    )
    for title, own in means.items():
        others = spaces[title].means
        moved = offset(own, others)
        columns = {f"offset, {axis}": moved[:, i] for i, axis in enumerate(AXES)}
        columns["gain"] = gain(own, others)
        for i, axis in enumerate(AXES[:2]):
            columns[f"gain, {axis}"] = gain(own, others, (i,))
        table.rows[title] = {name: Cell.of(draws) for name, draws in columns.items()}
        own_scatter = scatter(parts[title], spaces[title])
        for i, axis in enumerate(AXES[:2]):
            table.rows[title][f"scatter, {axis}"] = Cell(float(own_scatter[i]))
    return table


def gap_table(
    name: str,
    evaluations: Mapping[str, Evaluation],
    spaces: Mapping[str, AffectSpace],
    towards_normal: Mapping[str, Floats],
) -> Table:
    """Return unscripted minus acted class means.

    The acted mean is that of corpora; speakers and acted corpora are both resampled.
    `lowest` and `highest` are each acted corpus minus the mean of the other acted ones.

    Args:
        name: The unscripted corpus.
        evaluations: All corpora.
        spaces: The space of each corpus.
        towards_normal: Movements [1 + R, 3] from strong to normal intensity, by
            emotion, with whose direction the difference is compared.
    """
    acted = [corpus for corpus in evaluations if corpus != name]
    gap = _gap(name, acted, evaluations, spaces[name])
    range_ = np.stack(
        [
            _gap(c, [d for d in acted if d != c], evaluations, spaces[c])[0]
            for c in acted
        ]
    )  # [acted corpora, 5, 3]
    title = CORPORA[name].title if name in CORPORA else name
    table = Table(
        "gap",
        f"{title} minus the acted corpora, in standard deviations within a class",
        signed=True,
    )
    for k, row in enumerate((*Emotion, "mean")):
        cells = {}
        for i, axis in enumerate(AXES):
            cells[axis] = Cell.of(gap[:, k, i])
            cells[f"{axis}, lowest"] = Cell(float(range_[:, k, i].min()))
            cells[f"{axis}, highest"] = Cell(float(range_[:, k, i].max()))
        if (wanted := towards_normal.get(row)) is not None:
            unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
            cells["from strong to normal"] = Cell.of((gap[:, k] * unit).sum(1))
        table.rows[row] = cells
    return table


def resampled_mean(means: Floats, seed: int = 0) -> Floats:
    """Return the mean over corpora [1 + R, ...], which are resampled, too.

    Args:
        means: [1 + R, corpora, ...], the first row as measured.
        seed: Seed of the resampling.
    """
    n = means.shape[1]
    drawn = np.random.default_rng(seed).multinomial(n, [1 / n] * n, len(means) - 1)
    times = np.vstack([np.ones((1, n)), drawn])
    found: Floats = np.einsum("rc,rc...->r...", times, means) / n
    return found


def _gap(
    name: str,
    others: Sequence[str],
    evaluations: Mapping[str, Evaluation],
    space: AffectSpace,
) -> Floats:
    """Return class means minus those of other corpora, and their mean [1 + R, 5, 3]."""
    own = class_means(evaluations[name], space)
    each = np.stack([class_means(evaluations[c], space) for c in others], 1)
    gap = own - resampled_mean(each)
    return np.concatenate([gap, gap.mean(1, keepdims=True)], 1)


def _from_neutral(means: Floats) -> Floats:
    return means[..., _OTHERS, :] - means[..., [_NEUTRAL], :]
