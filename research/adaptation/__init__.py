"""Adaptation to speakers and settings, by size and content of the history."""
