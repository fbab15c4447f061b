"""Figures of the intensity study: class means along arousal and valence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.figures.style import PALE, bare, canvas, headline, save
from espressivo.figures.timeline import COLOURS
from espressivo.training.corpora import find_corpus
from espressivo.training.scores.bootstrap import percentile_interval
from espressivo.types import Emotion
from research.intensity.movement import MOVED, Group, intensity_means
from research.intensity.unscripted import class_means, gain, resampled_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.training.scores.evaluation import Evaluation
    from espressivo.training.scores.metrics import Floats
    from research.intensity.space import AffectSpace

_CALM = "#009e73"
_INK = "#333333"
_XY = [1, 0]  # valence to the right, arousal upwards, as in Russell (1980)
_CHI2 = 5.991  # 95 % of a chi-squared distribution with two degrees of freedom
_UNIT = "standard deviations within a class"


def plot_planes(
    ravdess: Evaluation,
    evaluations: Mapping[str, Evaluation],
    unscripted: str,
    spaces: Mapping[str, AffectSpace],
    path: Path,
) -> None:
    """Draw class means in the plane: normal to strong, and acted to unscripted.

    Ellipses hold 95 % of the means of resampled speakers; the acted corpora are
    resampled, too.

    Args:
        ravdess: Predictions for RAVDESS, both intensities of every clip.
        evaluations: Predictions for all corpora.
        unscripted: Name of the unscripted corpus.
        spaces: The space of each corpus.
        path: Image to write.
    """
    figure = canvas(8.6, 5.6)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _intensities(left, ravdess, spaces["ravdess"])
    own = class_means(evaluations[unscripted], spaces[unscripted])
    acted = [n for n in evaluations if n != unscripted]
    each = np.stack([class_means(evaluations[n], spaces[unscripted]) for n in acted], 1)
    _unscripted(right, own, each)
    title = find_corpus(unscripted).title
    n_actors = len(set(ravdess.speakers))
    headline(left, f"Strong instead of normal: RAVDESS, {n_actors} actors", 50)
    headline(
        right, f"Unscripted instead of acted: {title}, {len(acted)} acted corpora", 60
    )
    _legend(left, ("normal intensity", "strong intensity"))
    _legend(right, ("mean of the acted corpora", title), each="each acted corpus")
    for ax in (left, right):
        ax.set_xlabel(f"valence, {_UNIT}")
        ax.axhline(0, color=PALE, linewidth=0.5, zorder=0)
        ax.axvline(0, color=PALE, linewidth=0.5, zorder=0)
        ax.set_aspect("equal")
        ax.margins(0.12, 0.05)
        bare(ax)
    left.set_ylabel(f"arousal, {_UNIT}")
    save(figure, path)


def plot_spread(
    means: Mapping[str, Floats], spaces: Mapping[str, AffectSpace], path: Path
) -> None:
    """Draw the class means of every corpus along arousal and along valence.

    Args:
        means: Class means [1 + R, 4, 3] by title.
        spaces: The space of each, whose class means are drawn as ticks.
        path: Image to write.
    """
    figure = canvas(10.4, 0.9 + 0.42 * len(means))
    grid = figure.subplots(1, 2, sharey=True)
    for i, (ax, axis) in enumerate(zip(grid, ("arousal", "valence"), strict=True)):
        for y, (title, draws) in enumerate(means.items()):
            wanted = spaces[title].means
            for k, emotion in enumerate(Emotion):
                colour = COLOURS[emotion]
                aside = y + 0.12 * (k - 1.5)
                interval = percentile_interval(draws[1:, k, i])
                ax.hlines(aside, interval.low, interval.high, color=colour, linewidth=1)
                ax.plot(
                    draws[0, k, i],
                    aside,
                    "o",
                    color=colour,
                    markersize=5,
                    label=str(emotion) if y == 0 else "_",
                )
                ax.plot(wanted[k, i], y + 0.34, "|", color=colour, markersize=6)
            ax.text(
                1.01,
                y,
                f"gain {gain(draws[0], wanted, (i,)):.2f}",
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=8,
            )
        ax.set_xlabel(f"{axis}, {_UNIT}")
        ax.grid(axis="x", linewidth=0.4, alpha=0.5)
        bare(ax)
    grid[0].set_yticks(range(len(means)), list(means), fontsize=8)
    grid[0].invert_yaxis()
    grid[0].plot([], [], "|", color=_INK, markersize=6, label="mean of the others")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    save(figure, path)


def _intensities(ax: Axes, ravdess: Evaluation, space: AffectSpace) -> None:
    means = intensity_means(ravdess, space.place(ravdess.probabilities)[:, _XY])
    for label in (*MOVED, "calm"):
        colour = _CALM if label == "calm" else COLOURS[Emotion(label)]
        normal, strong = (means[Group(label, level)] for level in ("normal", "strong"))
        _arrow(ax, normal, strong, colour, str(label))
    neutral = means[Group(Emotion.NEUTRAL, "normal")]
    _mean(ax, neutral, COLOURS[Emotion.NEUTRAL], filled=False)
    _name(ax, neutral[0], "neutral", COLOURS[Emotion.NEUTRAL])


def _unscripted(ax: Axes, own: Floats, acted: Floats) -> None:
    for k, emotion in enumerate(Emotion):
        colour = COLOURS[emotion]
        ax.plot(*acted[0, :, k, _XY], "o", color=colour, markersize=3, alpha=0.8)
        mean = resampled_mean(acted[:, :, k])[:, _XY]
        _arrow(ax, mean, own[:, k, _XY], colour, str(emotion))


def _arrow(ax: Axes, start: Floats, end: Floats, colour: str, name: str) -> None:
    """Draw an arrow between two means [1 + R, 2], and the ellipse of each."""
    _mean(ax, start, colour, filled=False)
    _mean(ax, end, colour, filled=True)
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8}
    ax.annotate("", end[0], start[0], arrowprops=arrow)
    _name(ax, end[0], name, colour)


def _mean(ax: Axes, draws: Floats, colour: str, *, filled: bool) -> None:
    from matplotlib.patches import Ellipse  # noqa: PLC0415 - slow

    face = colour if filled else "white"
    ax.plot(*draws[0], "o", color=colour, markerfacecolor=face, markersize=7, zorder=3)
    known = draws[1:][~np.isnan(draws[1:]).any(1)]
    values, vectors = np.linalg.eigh(np.cov(known.T))
    width, height = 2 * np.sqrt(_CHI2 * values)
    angle = np.degrees(np.arctan2(*vectors[::-1, 0]))
    look: dict[str, Any] = (
        {"fc": colour, "alpha": 0.18, "lw": 0}
        if filled
        else {"fc": "none", "ec": colour, "lw": 0.8, "ls": "--"}
    )
    at = tuple(draws[0])
    ax.add_patch(Ellipse(at, width, height, angle=angle, zorder=1, **look))


def _legend(ax: Axes, names: tuple[str, str], each: str | None = None) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - slow

    looks = [(names[0], "o", 7, "white"), (names[1], "o", 7, _INK)]
    looks += [(each, "o", 3, _INK)] if each else []
    handles = [
        Line2D([], [], color=_INK, marker=m, ms=size, mfc=face, lw=0, label=name)
        for name, m, size, face in looks
    ]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        columnspacing=1,
        handletextpad=0.2,
    )


def _name(ax: Axes, at: Floats, name: str, colour: str) -> None:
    left = name in (Emotion.SADNESS, "calm")  # whose right side is crowded
    ax.annotate(
        name,
        tuple(at),
        (-8, -4) if left else (8, 4),
        ha="right" if left else "left",
        textcoords="offset points",
        color=colour,
        fontsize=10,
        fontweight="bold",
    )
