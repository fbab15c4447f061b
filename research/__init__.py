"""Finished studies, which are not part of the package."""
