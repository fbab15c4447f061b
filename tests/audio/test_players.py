"""Recordings are heard as players play them, whatever is odd about them.

The reference is FFmpeg's own decode on its own clock (`tests.players`). Each recording
is made from real speech whose place in the file is known, so a test also finds each
second of it again.
"""

from __future__ import annotations

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.types import SAMPLE_RATE
from tests.odd_recordings import Track, write
from tests.players import (
    FRAME_S,
    check_places,
    envelopes_agree,
    heard,
    later,
    played,
)


def _gap(at_s, length_s):
    return lambda t: t if t < at_s else t + length_s


def _several(t):
    return t + (t >= 1) * 1.0 + (t >= 2.5) * 0.3 + (t >= 4) * 2.0


# What is odd -> time in the sound to time stamp, and the holes: where and how long.
STAMPS = {
    "half a second": (_gap(2, 0.5), [(2, 0.5)]),
    "three seconds": (_gap(2, 3), [(2, 3)]),
    "ten seconds": (_gap(3.5, 10), [(3.5, 10)]),
    "several": (_several, [(1, 1), (2.5, 0.3), (4, 2)]),
    "lost packets": (lambda t: None if 2 <= t < 3 else t, [(2, 1)]),
    "an hour late": (lambda t: t + 3600, []),
    "an hour late, with a hole": (lambda t: _gap(2, 3)(t) + 3600, [(2, 3)]),
}
# Codecs and containers that keep time stamps. A page of Ogg has one stamp, at its end.
STAMPED = [
    ("opus", "webm", {}),
    ("opus", "mkv", {}),
    ("opus", "ogg", {"page_duration": "20000"}),
    ("opus", "mp4", {}),
    ("opus", "ts", {}),
    ("vorbis", "webm", {}),
    ("vorbis", "ogg", {"page_duration": "20000"}),
    ("aac", "m4a", {}),
    ("aac", "mp4", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
    ("aac", "mov", {}),
    ("aac", "ts", {}),
    ("aac", "mkv", {}),
    ("aac", "flv", {}),
    ("mp3", "mkv", {}),
    ("mp3", "flv", {}),
    ("mp3", "ts", {}),
    ("s16", "mkv", {}),
    ("f32", "nut", {}),
    ("flac", "ogg", {"page_duration": "20000"}),
    ("flac", "mp4", {}),
    ("alac", "m4a", {}),
    ("mp2", "ts", {}),
    ("mp2", "mpg", {}),
    ("ac3", "ts", {}),
    ("wma", "wma", {}),
    ("amr", "3gp", {}),
    ("opus", "webm", {"live": "1"}),
]
# All that is odd in the containers that browsers, phones and messengers write; the
# richest of it in all others.
_COMMON = [STAMPED[i] for i in (0, 2, 7, 8, 10, 16)]
_TIMES = [(*c, odd) for c in _COMMON for odd in STAMPS] + [
    (*c, "several") for c in STAMPED if c not in _COMMON
]


@pytest.mark.parametrize(
    "row", _TIMES, ids=["-".join([c, s, *o, odd]) for c, s, o, odd in _TIMES]
)
def test_time_stamps_are_kept(tmp_path, speech, row):
    codec, suffix, options, odd = row
    stamp, holes = STAMPS[odd]
    path = tmp_path / f"item.{suffix}"
    write(path, Track(speech, codec, stamp), options=options)

    signal, recording = heard(path)

    assert recording.warnings == []
    zero_s = stamp(0)

    def place(t):
        return None if stamp(t) is None else stamp(t) - zero_s

    check_places(
        signal,
        speech,
        place,
        alike=0.6 if codec == "amr" else 0.8,
        # FFmpeg's encoder of WMA states no delay.
        tolerance_s=0.05 if codec == "wma" else FRAME_S,
    )
    assert len(recording.gaps) == len(holes)
    for found, (at_s, length_s) in zip(recording.gaps, holes, strict=True):
        before = stamp(at_s - 0.001) - zero_s
        assert found.start_s == pytest.approx(before, abs=0.15)  # whole packets
        assert found.end_s - found.start_s == pytest.approx(length_s, abs=0.15)
    reference = played(path)
    assert abs(len(signal) - len(reference)) <= 0.02 * SAMPLE_RATE
    assert envelopes_agree(signal, reference)


def _jitter(step_s, most_s):
    return lambda t: t + most_s * (-1) ** round(t / step_s)


# Stamps that are somewhat wrong: no packet is lost, and no sound may be.
_INEXACT = {
    "milliseconds": (lambda t: round(t, 3), "opus", {}),
    "jitter of 9 ms": (_jitter(0.02, 0.009), "opus", {}),
    "jitter of 25 ms": (_jitter(0.06, 0.025), "opus", {"frame_duration": "60"}),
    "0.1 % slow": (lambda t: 1.001 * t, "opus", {}),
    "0.1 % fast": (lambda t: 0.999 * t, "opus", {}),
    "60 ms lost": (lambda t: t if t < 2 else t + 0.06, "opus", {}),
}


@pytest.mark.parametrize("odd", _INEXACT)
@pytest.mark.parametrize("suffix", ["webm", "ts", "mp4"])
def test_inexact_stamps_cost_nothing(tmp_path, speech, suffix, odd):
    stamp, codec, options = _INEXACT[odd]
    path = write(
        tmp_path / f"item.{suffix}", Track(speech, codec, stamp, None, None, options)
    )

    signal, recording = heard(path)

    assert recording.warnings == []
    assert recording.gaps == []
    assert len(signal) == pytest.approx(len(speech), abs=0.03 * SAMPLE_RATE)
    check_places(signal, speech, float)


@pytest.mark.parametrize("rate", [1.05, 0.95])
@pytest.mark.parametrize("suffix", ["webm", "ts"])
def test_drift_is_followed_in_steps_of_a_tenth_of_a_second(
    tmp_path, speech, suffix, rate
):
    path = write(tmp_path / f"item.{suffix}", Track(speech, "opus", lambda t: rate * t))

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(rate * len(speech), abs=0.15 * SAMPLE_RATE)
    assert len(signal) == pytest.approx(len(played(path)), abs=0.03 * SAMPLE_RATE)
    if rate > 1:  # else, a tenth of a second is left out now and then
        check_places(signal, speech, lambda t: rate * t, alike=0.3, tolerance_s=0.14)


@pytest.mark.parametrize("begin_s", [1.0, 3.0])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("opus", "webm"),
        ("opus", "mkv"),
        ("aac", "ts"),
        ("aac", "mp4"),
        ("mp3", "mkv"),
        ("s16", "mkv"),
        ("opus", "ogg"),
    ],
)
def test_a_part_agrees_with_its_place_in_the_whole(
    tmp_path, speech, codec, suffix, begin_s
):
    whole, part = (tmp_path / f"{name}.{suffix}" for name in ("whole", "part"))
    options = {"page_duration": "20000"} if suffix == "ogg" else {}

    def stamp(t):
        return _gap(4, 2)(t) + 10

    write(whole, Track(speech, codec, stamp), options=options)
    write(
        part,
        Track(speech, codec, lambda t: stamp(t) if t >= begin_s else None),
        options=options,
    )

    long, _ = heard(whole)
    short, recording = heard(part)

    assert recording.warnings == []
    assert len(recording.gaps) == 1
    n = round((_start_s(part) - _start_s(whole)) * SAMPLE_RATE)
    assert len(short) == pytest.approx(len(long) - n, abs=0.01 * SAMPLE_RATE)
    check_places(short, long[n + 3200 :], later(0.2), tolerance_s=0.01)


def _start_s(path):
    with av.open(str(path)) as container:
        return container.start_time / av.time_base


@settings(max_examples=15)
@given(
    encoder=st.sampled_from(
        [
            ("opus", "webm"),
            ("aac", "ts"),
            ("aac", "mp4"),
            ("s16", "mkv"),
            ("mp3", "flv"),
        ]
    ),
    holes=st.lists(
        st.tuples(st.floats(0.3, 5.0), st.floats(0.15, 5.0)), min_size=1, max_size=4
    ),
    start_s=st.floats(0.0, 10_000.0),
)
def test_any_holes(tmp_path_factory, speech, encoder, holes, start_s):
    codec, suffix = encoder

    def stamp(t):
        return t + sum(length_s for at_s, length_s in holes if t >= at_s)

    path = tmp_path_factory.mktemp("holes") / f"item.{suffix}"
    write(path, Track(speech, codec, lambda t: stamp(t) + start_s))

    signal, recording = heard(path)

    assert recording.warnings == []
    lost_s = sum(gap.end_s - gap.start_s for gap in recording.gaps)
    wanted_s = sum(length_s for _, length_s in holes)
    assert lost_s == pytest.approx(wanted_s, abs=0.1)
    assert len(signal) == pytest.approx(len(played(path)), abs=0.02 * SAMPLE_RATE)
    check_places(signal, speech, stamp, least=0)  # three holes can tear every piece
