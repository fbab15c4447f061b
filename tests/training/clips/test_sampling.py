from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.sampling import (
    AugmentedClips,
    EpochSampler,
    SampledClip,
    sampling_probabilities,
)
from espressivo.training.config import AugmentConfig


def test_an_utterance_varies_alike_whoever_asks(clips, config):
    varied = replace(config, augmentation=AugmentConfig())
    one, two = AugmentedClips(clips, varied), AugmentedClips(clips[3:], varied)
    draw = SampledClip(4, one.seed_of(5, 4, 2, 0))
    np.testing.assert_array_equal(
        one.signal(draw), two.signal(SampledClip(1, two.seed_of(5, 1, 2, 0)))
    )
    assert not np.array_equal(
        one.signal(draw), one.signal(SampledClip(4, one.seed_of(5, 4, 3, 0)))
    )


def test_an_epoch_hears_each_once_and_no_epoch_is_like_another(clips, config):
    plain = replace(config, training=replace(config.training, draws=0))
    draws = EpochSampler(AugmentedClips(clips, plain), plain)
    first, again, other = (list(draws.epoch(n)) for n in (0, 0, 1))
    assert sorted(d.index for step in first for d in step) == list(range(len(clips)))
    assert first == again != other
    assert len(first) == draws.n_steps == 3


def test_draws_are_as_many_as_asked_and_repeat(clips, config):
    draws = EpochSampler(AugmentedClips(clips, config), config)
    first, again, other = (list(draws.epoch(n)) for n in (0, 0, 1))
    assert sum(map(len, first)) == config.training.draws
    assert first == again != other


def test_corpora_are_drawn_alike(utterances):
    weights = sampling_probabilities(utterances, "corpus-class")
    share = {"many": 0.0, "few": 0.0}
    for utterance, weight in zip(utterances, weights, strict=True):
        share[utterance.corpus] += weight
    assert share["many"] == pytest.approx(share["few"])
    assert weights.sum() == pytest.approx(1)
