import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from sklearn.metrics import roc_auc_score

from research.dimensions.ranking import compare

N = 60


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    values = rng.normal(size=N).round(1)  # rounded, so that there are ties
    return values, rng.random(N) < 0.4, [f"s{i}" for i in rng.integers(0, 5, N)]


def test_the_share_of_pairs_is_the_area_under_the_roc_curve(clips):
    values, is_high, speakers = clips
    pairs = compare(values, is_high, ~is_high, speakers)

    assert pairs.auc[0] == pytest.approx(roc_auc_score(is_high, values))
    # A resample in which one speaker counts twice is the area with its clips twice.
    names = sorted(set(speakers))
    times = pairs.times[1]
    rows = [
        i
        for name, n in zip(names, times, strict=True)
        for _ in range(int(n))
        for i in range(N)
        if speakers[i] == name
    ]
    assert pairs.auc[1] == pytest.approx(roc_auc_score(is_high[rows], values[rows]))


def test_within_speakers_is_the_mean_of_each_speakers_area(clips):
    values, is_high, speakers = clips
    own = np.array(speakers)
    areas = [
        roc_auc_score(is_high[own == name], values[own == name]) for name in set(own)
    ]

    pairs = compare(values, is_high, ~is_high, speakers)
    assert pairs.within[0] == pytest.approx(np.mean(areas))


def test_only_matched_clips_are_compared():
    values = np.array([1.0, 0.0, 0.0, 1.0])
    is_high = np.array([True, False, True, False])
    pairs = compare(values, is_high, ~is_high, ["a"] * 4, matched=["x", "x", "y", "y"])

    assert pairs.n.sum() == 2
    assert pairs.within[0] == 0.5
