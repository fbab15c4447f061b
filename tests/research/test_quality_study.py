"""The ways in which `research.quality` spoils clips."""

from __future__ import annotations

import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from research.quality.__main__ import clipped, faint, low_passed, mixed, pink

RNG = np.random.default_rng(1)
CLIP = RNG.laplace(size=2 * SAMPLE_RATE).astype(np.float32)
SPEECH = CLIP[: SAMPLE_RATE // 2]


@pytest.mark.parametrize("hz", [3_400, 6_500])
def test_nothing_is_left_above_the_band(hz):
    powers = np.abs(np.fft.rfft(low_passed(CLIP, SPEECH, hz))) ** 2
    edge = hz * len(CLIP) // SAMPLE_RATE

    assert powers[edge:].sum() < 1e-6 * powers[:edge].sum()


@pytest.mark.parametrize("snr_db", [-5, 10])
def test_noise_has_the_ratio_to_the_speech(snr_db):
    added = mixed(CLIP, SPEECH, lambda n: pink(n, RNG), snr_db) - CLIP

    ratio = np.square(SPEECH).mean() / np.square(added).mean()
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.01)


def test_faint_clips_have_the_steps_of_16_bits():
    steps = faint(CLIP, SPEECH, -70) * 2**15

    np.testing.assert_array_equal(steps, np.round(steps))
    assert np.abs(steps).max() < 200


def test_clipping_by_nothing_changes_only_the_gain():
    np.testing.assert_allclose(clipped(CLIP, SPEECH, 0) * np.abs(CLIP).max(), CLIP)
    assert (np.abs(clipped(CLIP, SPEECH, 20)) == 1).mean() > 0.1
