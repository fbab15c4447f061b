"""Figures of scores by system, fold and speaker, and of validation UA over epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from espressivo.figures.style import (
    ACCENT,
    INK,
    PALE,
    bare,
    canvas,
    headline,
    literal_text,
    panels,
    save,
    wrapped,
)
from espressivo.training.scores.learning_curves import read_learning_curves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from espressivo.training.scores.crossval_results import CrossvalResults

# UA of guessing among four emotions.
_CHANCE = 0.25


@literal_text()
def plot_systems(
    results: Mapping[str, CrossvalResults],
    path: Path | Sequence[Path],
    measure: str = "ua",
    label: str = "UA",
) -> None:
    """Draw a score of each system, a row each, with its 95 % interval over speakers.

    Pale dots are the folds.

    Args:
        results: Name of a system -> its results.
        path: A .png, .svg or .pdf file, or several.
        measure: Key of the score in `CrossvalResults.pooled`.
        label: Its name.
    """
    figure = canvas(4.8, 0.9 + 0.62 * len(results))
    ax = figure.subplots()
    for y, (name, one) in enumerate(results.items()):
        folds = [one.in_fold(fold, measure).mean for fold in one.folds]
        ax.plot(
            folds, [y + 0.14] * len(folds), "o", color=PALE, markersize=4, alpha=0.7
        )
        value, interval = one.pooled.get(measure, np.nan), one.intervals.get(measure)
        ends = ""
        if interval is not None:
            ax.hlines(y, interval.low, interval.high, color=INK, linewidth=2.5)
            ends = f" ({interval.low:.3f} to {interval.high:.3f})"
        ax.plot(value, y, "s", color=INK, markersize=7)
        ax.annotate(
            wrapped(f"{name}   {value:.3f}{ends}", 58),
            (0, y - 0.22),
            xycoords=("axes fraction", "data"),
            fontsize=9,
            # The dotted line would cross the letters.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    if measure == "ua":
        ax.axvline(_CHANCE, color=PALE, linewidth=0.8, linestyle=":")
        label += " (dotted: chance; dots: folds)"
    ax.set_ylim(len(results) - 0.6, -0.7)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=6)
    ax.set_xlabel(label)
    ax.spines["left"].set_visible(False)
    bare(ax)
    save(figure, path)


@literal_text()
def plot_folds(
    results: Mapping[str, CrossvalResults], path: Path | Sequence[Path]
) -> None:
    """Draw the UA of each fold and speaker into `path`, one panel per system.

    The lowest row shows all folds together, with the 95 % interval over speakers.

    Args:
        results: Name of a system -> its results.
        path: A .png, .svg or .pdf file, or several.
    """
    tallest = max(len(one.folds) for one in results.values())
    figure, axes = panels(len(results), 3.4, 1.4 + 0.32 * (tallest + 1))
    for ax, (name, one) in zip(axes, results.items(), strict=True):
        _dots(ax, name, one)
    # One scale for all panels, and room for the marker of a UA of 1.
    left = min(ax.get_xlim()[0] for ax in axes)
    for ax in axes:
        ax.set_xlim(left, 1.03)
    figure.legend(
        handles=axes[0].get_legend_handles_labels()[0],
        loc="outside lower center",
        ncols=4 if len(results) > 1 else 2,
        frameon=False,
        fontsize=8,
    )
    save(figure, path)


def _dots(ax: Axes, name: str, one: CrossvalResults) -> None:
    a, folds = one.predictions, one.folds
    for y, fold in enumerate(folds):
        uas = [
            a.select((a.folds == fold) & (a.speakers == speaker)).pool.scores.ua
            for speaker in np.unique(a.speakers[a.folds == fold])
        ]
        # Only labels without a leading underscore get into the legend.
        hidden = "_" if y else ""
        style: dict[str, Any] = {
            "color": PALE,
            "alpha": 0.7,
            "markeredgewidth": 0,
            "markersize": 5,
        }
        ax.plot(uas, [y] * len(uas), "o", label=f"{hidden}speaker", **style)
        ua = one.in_fold(fold, "ua").mean
        ax.plot(ua, y, "D", color=INK, markersize=6, label=f"{hidden}fold")
    y = len(folds)
    pooled = one.pooled["ua"]
    if (interval := one.intervals.get("ua")) is not None:
        ends = (interval.low, interval.high)
        ax.hlines(y, *ends, color=ACCENT, linewidth=2, label="95 % over speakers")
    ax.plot(pooled, y, "s", color=ACCENT, markersize=7, label="all folds")
    ax.axvline(_CHANCE, color=PALE, linewidth=0.8, linestyle=":")
    ax.axhline(y - 0.5, color=PALE, linewidth=0.5)
    ax.set_yticks(range(len(folds) + 1), labels=[*folds, "all"])
    # Inverted, so that the first fold is on top and the sum below.
    ax.set_ylim(y + 0.6, -0.6)
    ax.set_xlabel("UA (dotted: chance)")
    ends_text = f" ({ends[0]:.3f} to {ends[1]:.3f})" if interval is not None else ""
    headline(ax, f"{name}\nUA {pooled:.3f}{ends_text}", 40)
    bare(ax)


@literal_text()
def plot_curves(
    results: Mapping[str, CrossvalResults], path: Path | Sequence[Path]
) -> None:
    """Draw the validation UA of each epoch into `path`, one panel per system.

    Each run is a thin line; the bold line is the mean up to the last epoch that all
    runs have. A dot marks the best epoch of a run, whose weights are kept.

    Args:
        results: Name of a system -> its results; systems without logged epochs get no
            panel.
        path: A .png, .svg or .pdf file, or several.
    """
    logged = {
        name: c for name, one in results.items() if (c := read_learning_curves(one))
    }
    figure, axes = panels(max(1, len(logged)), 3.4, 3.2)
    for ax, (name, curves) in zip(axes, logged.items(), strict=False):
        for values in curves.values():
            epochs = np.arange(1, len(values) + 1)
            ax.plot(epochs, values, color=INK, linewidth=0.8, alpha=0.35)
            best = int(np.argmax(values))
            ax.plot(best + 1, values[best], "o", color=ACCENT, markersize=4, mew=0)
        # Early stopping ends runs at different epochs; a mean of those that go on would
        # jump wherever one ends.
        shortest = min(map(len, curves.values()))
        mean = np.mean([values[:shortest] for values in curves.values()], axis=0)
        ax.plot(np.arange(1, shortest + 1), mean, color=INK, linewidth=2.2)
        ax.set_xlabel("epoch")
        ax.axhline(_CHANCE, color=PALE, linewidth=0.8, linestyle=":")
        headline(ax, f"{name}\n{len(curves)} runs", 40)
        bare(ax)
    axes[0].set_ylabel("validation UA (dotted: chance)")
    save(figure, path)
