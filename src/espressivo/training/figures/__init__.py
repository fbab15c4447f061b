"""Figures of how good models are (matplotlib, without a display)."""

from espressivo.training.figures.confusion import (
    Confusion,
    plot_confusion,
    plot_confusions,
)
from espressivo.training.figures.folds import plot_curves, plot_folds
from espressivo.training.figures.pareto import Point, frontier, plot_pareto
from espressivo.training.figures.profiles import plot_profiles
from espressivo.training.figures.reliability import plot_reliability
from espressivo.training.figures.vad import plot_vad

__all__ = [
    "Confusion",
    "Point",
    "frontier",
    "plot_confusion",
    "plot_confusions",
    "plot_curves",
    "plot_folds",
    "plot_pareto",
    "plot_profiles",
    "plot_reliability",
    "plot_vad",
]
