"""Time stamps: what is believed of them, and what damage costs."""

from __future__ import annotations

import pytest

from espressivo.audio.clock import Clock


def _placed(stamps, duration_s=None, length_s=0.02):
    clock = Clock()
    clock.begin(0.0, duration_s)
    return clock, [clock.place(stamp, length_s) for stamp in stamps]


def test_a_hole_becomes_silence_and_what_follows_is_later():
    clock, placed = _placed([0.0, 0.02, 5.04, 5.06])

    assert [p.silence_s for p in placed] == pytest.approx([0, 0, 5, 0])
    assert clock.position_s == pytest.approx(5.08)


def test_a_jump_backwards_begins_another_part():
    clock, placed = _placed([10.0 + 0.02 * i for i in range(50)] + [0.0, 0.02])

    assert placed[0].silence_s == 10.0
    assert all(p.skip_s == 0 for p in placed)
    assert clock.position_s == pytest.approx(10 + 52 * 0.02)


@pytest.mark.parametrize("stamp", [2e3, 1e5, 1e9, 1e18])
def test_a_damaged_stamp_makes_no_hours_of_silence(stamp):
    clock, _ = _placed([0.0, 0.02, stamp, stamp + 0.02])

    assert clock.position_s == pytest.approx(0.08)


def test_a_hole_at_each_frame_is_damage():
    clock, placed = _placed([0.5 * i for i in range(20_000)])

    n_holes = sum(p.silence_s > 0 for p in placed)
    assert 1000 <= n_holes < 2000
    assert clock.position_s < 1000


def test_silence_that_was_not_sent_is_believed_for_hours():
    # A call with Opus DTX: 2 s of speech, then a packet for each 0.4 s of silence.
    stamps, at = [], 0.0
    while at < 4 * 3600:
        stamps += [at + 0.02 * i for i in range(100)] + [
            at + 2 + 0.4 * i for i in range(5)
        ]
        at += 4.0

    clock, _ = _placed(stamps)

    assert clock.position_s == pytest.approx(at, abs=0.5)
