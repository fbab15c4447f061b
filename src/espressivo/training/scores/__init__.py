"""Metrics of predictions, their confidence intervals, and the files that hold them."""
