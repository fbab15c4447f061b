import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.training.scores.metrics import (
    score,
)
from espressivo.training.scores.temperature import (
    fit_model_temperature,
    fit_temperature,
    softmax,
)


@given(seed=st.integers(0, 1000), hot=st.floats(0.2, 8))
def test_temperature_has_the_least_log_loss_and_undoes_a_wrong_scale(seed, hot):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 100)
    logits = rng.normal(size=(100, 4)) + np.eye(4)[labels]

    best = fit_temperature(logits, labels)

    losses = [
        score(labels, softmax(logits, t)).log_loss
        for t in (best, best * 1.02, best / 1.02)
    ]
    assert losses[0] == min(losses)
    assert fit_temperature(logits * hot, labels) == pytest.approx(best * hot, rel=1e-6)


def test_temperature_of_faultless_answers_is_the_lowest_but_not_for_a_model():
    logits = np.eye(4) * 5
    assert fit_temperature(logits, np.arange(4)) == pytest.approx(0.01)
    assert fit_model_temperature(logits, np.arange(4)) == 1
    labels = np.array([0, 1, 2, 0])
    assert fit_model_temperature(logits, labels) == fit_temperature(logits, labels)
