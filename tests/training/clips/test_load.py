import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.load import load_clips
from espressivo.training.config import SignalConfig
from tests.training.experiments import (
    write_clip,
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
