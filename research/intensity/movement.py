"""RAVDESS: what strong intensity changes, actor by actor.

Every actor says each sentence of each emotion twice at either intensity, so that the
difference between the means is that of pairs. Neutral has no strong intensity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from espressivo.errors import CorpusError
from espressivo.training.corpora.ravdess import CALM
from espressivo.types import Emotion
from research.intensity.resampling import group_means
from research.intensity.space import AXES, log_odds
from research.tables import Cell, Table

if TYPE_CHECKING:
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats
    from research.intensity.space import AffectSpace

CORPUS = "ravdess"
MOVED = (Emotion.ANGER, Emotion.HAPPINESS, Emotion.SADNESS)
"""Emotions that have both intensities, without calm."""
_INTENSITIES = {"01": "normal", "02": "strong"}
# The fourth field of a file name; Livingstone & Russo (2018), "File naming".
_NAME = re.compile(r"(.*/03-01-0[1-8]-)(01|02)(-0[12]-0[12]-\d\d)")


class Group(NamedTuple):
    """Clips of one label, an emotion or calm, at one intensity."""

    label: str
    intensity: str


def group_of(utterance: Utterance) -> Group:
    """Return the group of an utterance of RAVDESS.

    Raises:
        CorpusError: Its id is no file name of RAVDESS.
    """
    label = "calm" if utterance.original == CALM.label else str(utterance.emotion)
    return Group(label, _INTENSITIES[_name(utterance)[2]])


def paired(evaluation: Evaluation) -> Evaluation:
    """Return the neutral clips, and those of which both intensities were predicted."""
    ids = {u.id for u in evaluation.utterances}

    def is_kept(utterance: Utterance) -> bool:
        start, intensity, end = _name(utterance).groups()
        other = start + ("02" if intensity == "01" else "01") + end
        return group_of(utterance).label == Emotion.NEUTRAL or other in ids

    return evaluation.select(is_kept)


def at_intensity(evaluation: Evaluation, intensity: str) -> Evaluation:
    """Return the four emotions at one intensity; neutral is the same for both."""

    def is_kept(utterance: Utterance) -> bool:
        label, found = group_of(utterance)
        return label == Emotion.NEUTRAL or (label != "calm" and found == intensity)

    return evaluation.select(is_kept)


def intensity_means(evaluation: Evaluation, rows: Floats) -> dict[Group, Floats]:
    """Return the mean row [1 + R, K] of each group, see `group_means`."""
    groups = [group_of(u) for u in evaluation.utterances]
    return group_means(rows, groups, evaluation.speakers)


def movements(evaluation: Evaluation, space: AffectSpace) -> dict[str, Floats]:
    """Return strong minus normal intensity [1 + R, 3] of each label, calm last."""
    return _differences(evaluation, space.place(evaluation.probabilities))


def movement_table(found: dict[str, Floats]) -> Table:
    """Return how far class means move, and the share of it along each axis."""
    table = Table(
        "movement",
        "From normal to strong intensity, in standard deviations within a class",
        signed=True,
    )
    for label, moved in found.items():
        table.rows[label] = {"distance": Cell.of(np.linalg.norm(moved, axis=1))} | {
            axis: Cell.of(moved[:, i]) for i, axis in enumerate(AXES)
        }
    mean = np.mean([found[e] for e in MOVED], axis=0)
    table.rows["mean of anger, happiness, sadness"] = {
        "distance": Cell.of(np.linalg.norm(mean, axis=1))
    } | {axis: Cell.of(mean[:, i]) for i, axis in enumerate(AXES)}
    return table


def share_table(found: dict[str, Floats], space: AffectSpace) -> Table:
    """Return the shares of the squared movement, which sum to 100 % over the axes.

    For the three emotions together there is also what three models explain of it: one
    shift of all three; class means that lie further from neutral by one factor; and by
    one factor for each axis. The class means are those of the other corpora.
    """
    table = Table("shares", "Share of the squared movement, %", places=0)
    for label, moved in found.items():
        table.rows[label] = _shares(moved[:, None])
    three = np.stack([found[e] for e in MOVED], 1)  # [1 + R, 3, axes]
    total = np.square(three).sum((1, 2))
    emotions = list(Emotion)
    rows = [emotions.index(e) for e in MOVED]
    away = space.means[rows] - space.means[emotions.index(Emotion.NEUTRAL)]
    products, squares = (three * away).sum(1), np.square(away).sum(0)  # of each axis
    explained = {
        "by one shift": 3 * np.square(three.mean(1)).sum(1),
        "by one gain": np.square(products.sum(1)) / squares.sum(),
        "by a gain of each axis": (np.square(products) / squares).sum(1),
    }
    table.rows["anger, happiness, sadness"] = _shares(three) | {
        name: Cell.of(100 * part / total) for name, part in explained.items()
    }
    return table


def log_odds_table(evaluation: Evaluation) -> Table:
    """Return the change of the logits, minus their mean over the emotions."""
    table = Table(
        "logits",
        "From normal to strong intensity: change of the logits, minus its mean",
        signed=True,
    )
    moved = _differences(evaluation, log_odds(evaluation.probabilities))
    for label, change in moved.items():
        table.rows[label] = {
            str(e): Cell.of(change[:, k]) for k, e in enumerate(Emotion)
        }
    return table


def prediction_table(evaluation: Evaluation) -> Table:
    """Return what clips of each label and intensity are taken for, in percent."""
    table = Table("predictions", "Taken for, % of the clips", places=1)
    said = np.eye(len(Emotion))[evaluation.probabilities.argmax(1)]
    means = intensity_means(evaluation, 100 * said)
    order = (*MOVED, Emotion.NEUTRAL, "calm")
    for group in sorted(means, key=lambda g: (order.index(g.label), g.intensity)):
        cells = {str(e): Cell.of(means[group][:, k]) for k, e in enumerate(Emotion)}
        table.rows[", ".join(group)] = cells
    return table


def recall_table(evaluation: Evaluation) -> Table:
    """Return recalls and UA (calm left out) at either intensity, in percent."""
    table = Table("recall", "Recall and UA without calm, %", places=1)
    right = evaluation.probabilities.argmax(1) == evaluation.labels
    found = intensity_means(evaluation, 100.0 * right[:, None])
    means = {group: draws[:, 0] for group, draws in found.items()}
    neutral = means[Group(Emotion.NEUTRAL, "normal")]
    by = {
        intensity: {label: means[Group(label, intensity)] for label in (*MOVED, "calm")}
        for intensity in _INTENSITIES.values()
    }
    for recalls in by.values():
        recalls["UA"] = np.mean([*(recalls[e] for e in MOVED), neutral], axis=0)
    normal, strong = by["normal"], by["strong"]
    for label in normal:
        change = strong[label] - normal[label]
        columns = {"normal": normal[label], "strong": strong[label], "change": change}
        table.rows[label] = {name: Cell.of(draws) for name, draws in columns.items()}
    return table


def _name(utterance: Utterance) -> re.Match[str]:
    if (match := _NAME.fullmatch(utterance.id)) is None:
        raise CorpusError(f"{utterance.id}: is no file name of RAVDESS speech")
    return match


def _differences(evaluation: Evaluation, rows: Floats) -> dict[str, Floats]:
    means = intensity_means(evaluation, rows)
    return {
        label: means[Group(label, "strong")] - means[Group(label, "normal")]
        for label in (*MOVED, "calm")
    }


def _shares(moved: Floats) -> dict[str, Cell]:
    """Return the share of each axis in movements [1 + R, labels, axes]."""
    squares = np.square(moved).sum(1)
    shares = 100 * squares / squares.sum(1, keepdims=True)
    return {axis: Cell.of(shares[:, i]) for i, axis in enumerate(AXES)}
