"""Figures of evaluation results, drawn by matplotlib without a display."""

from espressivo.training.figures.conditions import plot_conditions
from espressivo.training.figures.confusion import (
    Confusion,
    plot_confusion,
    plot_confusions,
)
from espressivo.training.figures.folds import plot_curves, plot_folds, plot_systems
from espressivo.training.figures.pareto import Point, measured_front, plot_pareto
from espressivo.training.figures.reliability import plot_reliability
from espressivo.training.figures.selective import plot_risk_coverage

__all__ = [
    "Confusion",
    "Point",
    "measured_front",
    "plot_conditions",
    "plot_confusion",
    "plot_confusions",
    "plot_curves",
    "plot_folds",
    "plot_pareto",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_systems",
]
