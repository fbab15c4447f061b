"""Fixtures of sounds that odd recordings are made of."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def speech(note):
    """5.5 s of speech without a long pause [samples]."""
    return note[2000 : 2000 + 88_000]


@pytest.fixture(scope="session")
def tone():
    """Half a second of a tone [samples]."""
    return (0.3 * np.sin(np.arange(8_000) / 5)).astype(np.float32)
