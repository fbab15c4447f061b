import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.training.export.quantize.ranges import (
    N_BINS,
    RANGE_METHODS,
    Histogram,
    affine,
    choose_range,
    least_divergence,
)


def seen_values(values):
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, N_BINS, (low, high))[0].astype(float)
    return Histogram(low, high, counts)


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_ranges_hold_zero_and_nothing_unseen(method):
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=9999), rng.uniform(2, 3, 999), -rng.random(999)):
        low, high = choose_range(seen_values(values), method)

        assert low <= 0 <= high
        assert min(0, values.min()) <= low
        assert high <= max(0, values.max())


def test_an_outlier_does_not_take_all_levels():
    values = np.append(np.random.default_rng(0).normal(size=200_000), 1000.0)

    least, widest = (choose_range(seen_values(values), m) for m in ("mse", "minmax"))

    def error(ends):
        scale, zero = affine(*ends)
        back = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
        return np.square(back - values).mean()

    assert error(least) <= error(widest)
    assert choose_range(seen_values(values), "percentile")[1] < 100


def test_zero_is_a_level():
    scale, zero = affine(-0.17, 5.6)

    assert 0 < zero < 255
    assert np.float32(0 - float(zero)) * scale + zero * scale == 0


def test_the_least_divergence_keeps_what_onnxruntime_keeps():
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    theirs = calibrate.HistogramCollector.get_entropy_threshold
    rng = np.random.default_rng(0)
    for draw in (rng.uniform, rng.normal, rng.laplace):
        values = draw(size=50_000)
        top = np.abs(values).max()
        counts, edges = np.histogram(values, 1025, (-top, top))
        seen = (counts, edges, np.float64(-top), np.float64(top))

        kept = edges[512 + least_divergence(counts.astype(float), 128) + 1]

        # Theirs puts what does not divide evenly into the last level.
        assert kept == pytest.approx(theirs(None, seen, 128)[1], rel=0.1)


def test_the_least_divergence_cuts_a_long_tail_only():
    rng = np.random.default_rng(1)
    even, tailed = rng.uniform(-1, 1, 50_000), rng.standard_t(3, 50_000)

    assert choose_range(seen_values(even), "entropy")[1] > 0.99
    assert choose_range(seen_values(tailed), "entropy")[1] < 0.6 * tailed.max()
