import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.batches import Batches  # noqa: E402
from espressivo.training.clips.feature_cache import FeatureExtractor  # noqa: E402
from espressivo.training.clips.sampling import (  # noqa: E402
    AugmentedClips,
)


def batches_of(network, clips, config, cache=None, **options):
    return Batches(
        FeatureExtractor(network, cache), AugmentedClips(clips, config), **options
    )


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
