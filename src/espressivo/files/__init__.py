"""Atomic file writes, locks between processes, and reading of tables."""
