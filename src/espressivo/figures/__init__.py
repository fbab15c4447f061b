"""Figures of what the runtime finds (matplotlib, extra `plot`)."""
