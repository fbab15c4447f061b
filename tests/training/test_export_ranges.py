import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.training.export.quantize.ranges import (
    N_BINS,
    Histogram,
    affine_parameters,
    choose_range,
)


def seen_values(values):
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, N_BINS, (low, high))[0].astype(float)
    return Histogram(low, high, counts)


def test_ranges_hold_zero_and_nothing_unseen():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=9999), rng.uniform(2, 3, 999), -rng.random(999)):
        low, high = choose_range(seen_values(values))

        assert low <= 0 <= high
        assert min(0, values.min()) <= low
        assert high <= max(0, values.max())


def test_an_outlier_does_not_take_all_levels():
    values = np.append(np.random.default_rng(0).normal(size=200_000), 1000.0)

    least, widest = choose_range(seen_values(values)), (values.min(), values.max())

    def error(ends):
        scale, zero = affine_parameters(*ends)
        back = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
        return np.square(back - values).mean()

    assert error(least) <= error(widest)


def test_zero_is_a_level():
    scale, zero = affine_parameters(-0.17, 5.6)

    assert 0 < zero < 255
    assert np.float32(0 - float(zero)) * scale + zero * scale == 0
