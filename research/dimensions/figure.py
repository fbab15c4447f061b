"""Figure of the study: mean arousal and valence of each emotion in each corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.figures.style import PALE, bare, canvas, headline, save
from espressivo.figures.timeline import COLOURS
from espressivo.training.corpora import find_corpus
from espressivo.types import Dimension, Emotion
from research.dimensions.tables import labels_of, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from espressivo.training.scores.evaluation import Evaluation

_MARKERS = "osD^vP*Xp"


def plot_plane(evaluations: Mapping[str, Evaluation], path: Path) -> None:
    """Draw the mean of each emotion in the plane, a marker for each corpus.

    Args:
        evaluations: Predictions by name of the corpus, at most nine.
        path: Image to write.
    """
    figure = canvas(6.4, 5.2)
    ax = figure.subplots()
    for marker, (name, found) in zip(_MARKERS, evaluations.items(), strict=False):
        labels = labels_of(found)
        arousal = values_of(found, Dimension.AROUSAL)
        valence = values_of(found, Dimension.VALENCE)
        for emotion in Emotion:
            own = labels == emotion
            at = valence[own].mean(), arousal[own].mean()
            ax.plot(*at, marker, color=COLOURS[emotion], markersize=8, alpha=0.85)
        ax.plot([], [], marker, color=PALE, label=find_corpus(name).title, ls="")
    for emotion in Emotion:
        ax.plot([], [], "o", color=COLOURS[emotion], label=str(emotion), ls="")
    ax.axhline(0.5, color=PALE, lw=0.6, zorder=0)
    ax.axvline(0.5, color=PALE, lw=0.6, zorder=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="valence", ylabel="arousal")
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    headline(ax, "Mean of each emotion, each corpus by a model that never met it", 70)
    bare(ax)
    save(figure, path)
