from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.batches import Batches  # noqa: E402
from espressivo.training.clips.feature_cache import FeatureExtractor, extractor_key  # noqa: E402
from espressivo.training.clips.sampling import (  # noqa: E402
    AugmentedClips,
    EpochSampler,
    SampledClip,
)
from espressivo.training.config import AugmentConfig  # noqa: E402
from espressivo.training.fit.predict import predict_clips  # noqa: E402
from espressivo.training.networks import build_network  # noqa: E402
from tests.training.experiments import (  # noqa: E402
    predict,
)


def batches_of(network, clips, config, cache=None, **options):
    return Batches(
        FeatureExtractor(network, cache), AugmentedClips(clips, config), **options
    )


def test_what_is_kept_is_what_the_network_hears(network, clips, config, tmp_path):
    fresh = predict(network, [clip.signal for clip in clips])
    kept = batches_of(network, clips, config, tmp_path)
    first, again = predict_clips(kept), predict_clips(kept)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, fresh, atol=2e-3)  # fp16 has 11 bits
    np.testing.assert_allclose(
        predict_clips(batches_of(network, clips, config)), fresh, atol=1e-5
    )
    assert len(list(tmp_path.rglob("*.npy"))) == len(clips)


def test_kept_frames_are_found_by_content_alone(network, clips, config, tmp_path):
    predict_clips(batches_of(network, clips, config, tmp_path))
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    moved = [
        replace(clip, utterance=replace(clip.utterance, id=f"other/{n}"))
        for n, clip in enumerate(reversed(clips))
    ]
    predict_clips(batches_of(network, moved, config, tmp_path))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npy")} == files


def test_another_front_keeps_its_own(network, config):
    with torch.no_grad():
        key = extractor_key(network)
        network.classify.weight.add_(1)  # not of the front
        assert extractor_key(network) == key
        network.encoder.conv1.weight[0, 0, 0] += 1e-3
        assert extractor_key(network) != key
    two = build_network(replace(config.network, n_layers=2))
    assert extractor_key(two) != key


def test_what_is_new_in_every_epoch_is_not_kept(network, clips, config, tmp_path):
    varied = replace(config, augmentation=AugmentConfig())
    batches = batches_of(network, clips, varied, tmp_path)
    steps = list(EpochSampler(batches.clips, varied).epoch(0))
    assert len(list(batches.load(steps))) == 2
    assert not list(tmp_path.rglob("*.npy"))


def test_variants_come_around_again_and_are_kept(network, clips, config, tmp_path):
    varied = replace(config, augmentation=AugmentConfig(variants=2))
    batches = batches_of(network, clips, varied, tmp_path)
    draws = EpochSampler(batches.clips, varied)
    epochs = [{d for step in draws.epoch(n) for d in step} for n in range(4)]
    assert len(set().union(*epochs)) <= 2 * len(clips)
    assert {d.augmentation for d in epochs[0] if d.index == 0} <= {
        batches.clips.seed_of(0, 0, n, 0) for n in (0, 1)
    }
    for epoch in range(4):
        list(batches.load(list(draws.epoch(epoch))))
    assert len(list(tmp_path.rglob("*.npy"))) == len(set().union(*epochs))
    other_seed = EpochSampler(batches.clips, replace(varied, seed=9))
    assert {d for s in other_seed.epoch(0) for d in s} <= set().union(*epochs) | {
        SampledClip(i, batches.clips.seed_of(9, i, n, 0))
        for i in range(len(clips))
        for n in (0, 1)
    }
