"""Figures of how good models are (matplotlib, without a display)."""

from espressivo.training.figures.confusion import plot_confusion

__all__ = ["plot_confusion"]
