"""Fixtures of the tests of training."""

from functools import partial

import pytest


@pytest.fixture(scope="session", autouse=True)
def _few_rounds():
    """Time the graphs of an export in few rounds: no test depends on the seconds."""
    costs = pytest.importorskip("espressivo.training.export.checks.costs")
    sensitivity = pytest.importorskip("espressivo.training.export.search.sensitivity")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_ROUNDS", 3)
        patch.setattr(sensitivity, "_ROUNDS", 3)
        once = partial(sensitivity.shares_saved, rounds=1)
        patch.setattr(sensitivity, "shares_saved", once)
        yield
