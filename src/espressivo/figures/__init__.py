"""Figures of reports and benchmarks (matplotlib, extra `plot`)."""
