import random

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.clips.augment import Augment, change_speed
from espressivo.training.config import AugmentConfig

RATE = 16_000


def tone(hz=440.0, seconds=1.0):
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def peak_hz(signal):
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return float(spectrum.argmax() * RATE / len(signal))


def test_same_seed_same_variation_whatever_the_global_generators():
    augment = Augment(AugmentConfig(speed_probability=0.5))
    seed = 3
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = augment(tone(), seed)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(augment(tone(), seed), first)


def test_global_generators_are_left_as_they_were():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    wanted = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    Augment(AugmentConfig(probability=1.0))(tone(), 5)
    assert (random.random(), np.random.random()) == wanted  # noqa: NPY002


def test_input_is_not_modified_and_output_is_float32():
    signal = tone()
    before = signal.copy()
    for seed in range(5):
        varied = Augment(AugmentConfig(probability=1.0))(signal, seed)
        assert varied.dtype == np.float32
        assert np.isfinite(varied).all()
    np.testing.assert_array_equal(signal, before)


def test_probability_0_changes_nothing():
    config = AugmentConfig(probability=0.0)
    np.testing.assert_array_equal(Augment(config)(tone(), 1), tone())


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_pitch_and_length_together(factor):
    played = change_speed(tone(400.0), factor)
    assert len(played) == pytest.approx(RATE / factor, abs=1)
    assert peak_hz(played) == pytest.approx(400 * factor, rel=0.01)
