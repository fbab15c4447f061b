from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espressivo.speech.loudness import FLOOR_DB, STEP, LoudnessMeter

RNG = np.random.default_rng(0)
NOISE = (RNG.standard_normal(10 * STEP + 77) * 0.1).astype(np.float32)


def levels_of(blocks):
    meter = LoudnessMeter()
    for block in blocks:
        meter.push(block)
    return meter.measure()


@given(st.lists(st.integers(0, len(NOISE)), max_size=12))
def test_the_same_levels_whatever_the_blocks(cuts):
    blocks = np.split(NOISE, sorted(cuts))

    np.testing.assert_array_equal(levels_of(blocks), levels_of([NOISE]))


def test_levels_are_the_root_mean_square_in_decibels():
    levels = levels_of([NOISE])

    steps = [NOISE[i : i + STEP] for i in range(0, len(NOISE), STEP)]
    expected = [20 * np.log10(np.sqrt(np.mean(np.float64(s) ** 2))) for s in steps]
    np.testing.assert_allclose(levels, expected, atol=1e-4)
    assert len(levels) == 11  # the last one is of 77 samples
    np.testing.assert_allclose(levels_of([NOISE / 2]), levels - 6.0206, atol=1e-4)


def test_silence_is_at_the_floor():
    assert levels_of([np.zeros(2 * STEP + 1, np.float32)]).tolist() == [FLOOR_DB] * 3
    assert levels_of([]).tolist() == []
