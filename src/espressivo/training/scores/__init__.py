"""Metrics of predictions, their confidence intervals, and the files they are in."""
