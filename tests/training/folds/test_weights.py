import numpy as np
import pytest

from espressivo.training.folds.weights import balanced_weights


def test_balanced_weights_are_scikit_learns():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    labels = ["anger"] * 5 + ["neutral"] * 2 + ["sadness"]
    wanted = utils.compute_sample_weight("balanced", labels)
    np.testing.assert_allclose(balanced_weights(labels), wanted)


def test_balanced_groups_weigh_the_same():
    groups = [("tess", 0)] * 7 + [("emodb", 0)] * 2 + [("emodb", 1)]
    weights = balanced_weights(groups)
    sums = {g: weights[[h == g for h in groups]].sum() for g in set(groups)}
    assert weights.mean() == pytest.approx(1)
    assert len({round(value, 9) for value in sums.values()}) == 1
