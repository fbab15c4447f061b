"""Wait for a condition with a timeout that is long enough for slow machines."""

from __future__ import annotations

import time

PATIENCE_S = 60


def until(condition):
    """Wait until `condition()` is true; fail after `PATIENCE_S` seconds."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
