"""Hypothesis for tests whose first example pays for slow imports (librosa, numba)."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
