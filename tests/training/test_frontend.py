import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.batches import Batches  # noqa: E402
from espressivo.training.clips.feature_cache import FeatureExtractor, extractor_key  # noqa: E402
from espressivo.training.clips.load import load_clips  # noqa: E402
from espressivo.training.clips.sampling import (  # noqa: E402
    AugmentedClips,
    EpochSampler,
    SampledClip,
    sampling_probabilities,
)
from espressivo.training.config import AugmentConfig, SignalConfig  # noqa: E402
from espressivo.training.fit.predict import predict_clips  # noqa: E402
from espressivo.training.networks import build_network  # noqa: E402
from tests.training.experiments import (  # noqa: E402
    predict,
    small_config,
    small_corpus,
    write_clip,
)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clips(utterances):
    return load_clips(utterances, SignalConfig())[0]


@pytest.fixture
def config():
    network = replace(small_config().network, frozen="all")
    return replace(small_config(), signal=SignalConfig(), network=network)


@pytest.fixture
def network(config):
    torch.manual_seed(0)
    return build_network(config.network).eval()


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


def test_speaker_statistics_leave_no_mean_and_no_deviation(network, clips, config):
    batches = batches_of(network, clips, config, speaker_statistics=True)
    frames = {}
    steps = batches.unaugmented(5)
    for step, batch in zip(steps, batches.load(steps), strict=True):
        values, counts = batch.frames
        for draw, row, count in zip(step, values, counts.tolist(), strict=True):
            speaker = clips[draw.index].utterance.speaker
            frames.setdefault(speaker, []).append(row[:count])
            assert not row[count:].any()
    assert len(frames) == 3
    for rows in frames.values():
        together = torch.cat(rows).double()
        torch.testing.assert_close(
            together.mean(0), torch.zeros_like(together[0]), atol=1e-3, rtol=0
        )
        torch.testing.assert_close(
            together.std(0), torch.ones_like(together[0]), atol=2e-2, rtol=0
        )


def test_signals_come_from_the_cache_until_the_recording_changes(tmp_path, utterances):
    clip = tmp_path / "clip.wav"
    clip.write_bytes(utterances[0].path.read_bytes())
    one, cache = [replace(utterances[0], path=clip)], tmp_path / "cache"
    ((first,), _) = load_clips(one, SignalConfig(), cache)
    ((again,), _) = load_clips(one, SignalConfig(), cache)
    ((plain,), _) = load_clips(one, SignalConfig())
    np.testing.assert_array_equal(first.signal, again.signal)
    np.testing.assert_array_equal(first.signal, plain.signal)
    assert first.digest == again.digest == plain.digest
    assert len(list(cache.rglob("*.npy"))) == 1
    ((emphasized,), _) = load_clips(one, SignalConfig(pre_emphasis=0.97), cache)
    assert emphasized.digest != first.digest
    assert not np.array_equal(emphasized.signal, first.signal)
    write_clip(clip, 500, 99)
    ((changed,), _) = load_clips(one, SignalConfig(), cache)
    assert changed.digest != first.digest


def test_clips_hold_no_files_open(tmp_path, utterances):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(list(Path("/dev/fd").iterdir()))
    many = 100 * utterances
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 64, hard))
    try:
        clips, unreadable = load_clips(many, SignalConfig(), tmp_path)
        again, _ = load_clips(utterances, SignalConfig())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(clips) == len(many) > 64
    assert unreadable == []
    for clip, exact in zip(clips, again, strict=False):
        np.testing.assert_array_equal(clip.signal, exact.signal)
        assert clip.n_samples == exact.n_samples == len(exact.signal)


def test_the_studys_preprocessing_is_trim_emphasis_peak(utterances):
    study = SignalConfig(trim_db=20, pre_emphasis=0.97, peak=0.95)
    (clip, *_), _ = load_clips(utterances, study)
    (raw, *_), _ = load_clips(utterances, SignalConfig(trim_db=20))
    emphasized = raw.signal - 0.97 * np.append(0, raw.signal[:-1])
    expected = emphasized / np.abs(emphasized).max() * 0.95
    np.testing.assert_allclose(clip.signal, expected, atol=1e-6)
