"""Waiting for what must come, however slow the machine."""

from __future__ import annotations

import time

PATIENCE_S = 60


def until(condition):
    """Wait for what must come."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
