from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from espressivo.training.scores.dimensions import RatedPredictions, mean_ccc


def made(n=120, n_speakers=6, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    rated = rng.uniform(0, 1, (n, 2))
    predicted = np.clip(rated + rng.normal(0, noise, (n, 2)), 0, 1)
    speakers = [f"s{i}" for i in rng.integers(0, n_speakers, n)]
    return RatedPredictions(("arousal", "valence"), rated, predicted, speakers)


def ccc(x, y):
    """By covariance identities: 1 - E (x - y)^2 / that of independent x and y."""
    independent = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return 1 - np.mean((x - y) ** 2) / independent


def test_scores_are_those_of_numpy_and_scipy():
    found = made()
    found.rated[:30, 1] = np.nan
    scores = found.scores
    for i, name in enumerate(found.names):
        known = ~np.isnan(found.rated[:, i])
        x, y = found.predicted[known, i], found.rated[known, i]
        assert scores[f"ccc_{name}"] == pytest.approx(ccc(x, y))
        assert scores[f"pearson_{name}"] == pytest.approx(stats.pearsonr(x, y)[0])
        assert scores[f"rmse_{name}"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert found.n_rated == {"arousal": 120, "valence": 90}
    assert mean_ccc(found) == pytest.approx(
        (scores["ccc_arousal"] + scores["ccc_valence"]) / 2
    )


def test_borders():
    two = made(n=2)
    constant = replace(two, predicted=np.full((2, 2), 0.5)).scores
    assert constant["ccc_arousal"] == 0
    assert np.isnan(constant["pearson_arousal"])
    one = RatedPredictions(two.names, two.rated[:1], two.predicted[:1], ["s"])
    assert np.isnan(one.scores["ccc_arousal"])
    apart = abs(two.rated[0, 0] - two.predicted[0, 0])
    assert one.scores["rmse_arousal"] == pytest.approx(apart)
    assert one.intervals() == {}
    unrated = replace(two, rated=np.full((2, 2), np.nan))
    assert all(np.isnan(value) for value in unrated.scores.values())
    assert np.isnan(mean_ccc(unrated))


def test_runs_of_the_same_utterances_count_once():
    one = made()
    twice = RatedPredictions(
        one.names,
        np.tile(one.rated, (3, 1)),
        np.tile(one.predicted, (3, 1)),
        one.speakers * 3,
        np.full(360, 1 / 3),
    )
    assert twice.scores == pytest.approx(one.scores)
    for name, interval in one.intervals().items():
        assert twice.intervals()[name].low == pytest.approx(interval.low)
        assert interval.low < one.scores[name] < interval.high


def test_a_better_model_is_better_in_every_resample():
    good, poor = made(noise=0.1), made(noise=0.6)
    poor = replace(poor, rated=good.rated, speakers=good.speakers)
    better = good.compare(poor)["ccc_arousal"]
    assert better.difference > 0
    assert better.interval.low > 0
    assert better.p < 0.01
    same = good.compare(good)["ccc_arousal"]
    assert (same.difference, same.p) == (0, 1)
