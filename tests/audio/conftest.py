"""Fixtures of sounds that odd recordings are made of."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def speech(note):
    """5.5 s of speech without a long pause [samples]."""
    return note[2000 : 2000 + 88_000]
