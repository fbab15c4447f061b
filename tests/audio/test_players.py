"""Recordings are heard as players play them, whatever is odd about them.

The reference is FFmpeg's own decode on its own clock (`tests.players`). Each recording
is made from real speech whose place in the file is known, so a test also finds each
second of it again.
"""

from __future__ import annotations

import av
import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from tests.odd_bytes import cut_ogg, disable, edit, join, ogg_pages, rewrite_ogg
from tests.odd_recordings import Track, write
from tests.players import FRAME_S, check_places, envelopes_agree, heard, played


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


def _later(seconds):
    return lambda t: t + seconds


# Container, codec of the sound: with a picture, or a second audio track, from 0 on.
_FILMS = [
    ("aac", "mp4"),
    ("aac", "mov"),
    ("opus", "mkv"),
    ("aac", "ts"),
    ("mp2", "mpg"),
]


@pytest.mark.parametrize(("codec", "suffix"), _FILMS)
@pytest.mark.parametrize("late_s", [0.08, 3.0])
def test_sound_that_begins_after_the_picture(tmp_path, speech, codec, suffix, late_s):
    path = tmp_path / f"film.{suffix}"
    write(path, Track(speech, codec, _later(late_s)), picture=(0, 9))

    signal, recording = heard(path)

    assert recording.warnings == []
    check_places(signal, speech, _later(late_s))
    assert len(signal) == pytest.approx(len(played(path)), abs=0.02 * SAMPLE_RATE)
    if late_s > 0.1:
        assert recording.gaps[0].start == 0


@pytest.mark.parametrize(("codec", "suffix"), _FILMS)
def test_a_picture_that_begins_after_the_sound(tmp_path, speech, codec, suffix):
    path = tmp_path / f"film.{suffix}"
    write(path, Track(speech, codec), picture=(2, 5))

    signal, recording = heard(path)

    assert recording.warnings == []
    assert recording.gaps == []
    check_places(signal, speech, float)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
def test_a_track_that_begins_after_another(tmp_path, speech, suffix):
    path = tmp_path / f"item.{suffix}"
    tracks = Track(speech[::-1], "aac"), Track(speech, "aac", _later(1.5))
    write(path, *tracks)

    signal, recording = heard(path, track=2)

    assert recording.track == 2
    check_places(signal, speech, _later(1.5))
    assert envelopes_agree(signal, played(path, track=2))


# Flags "default" of the tracks, and the number of the one that is played.
_FLAGS = [
    ((False, False, False), 1),
    ((True, False, False), 1),
    ((False, True, False), 2),
    ((False, False, True), 3),
    ((False, True, True), 2),
    ((True, True, True), 1),
]


@pytest.mark.parametrize(("flags", "wanted"), _FLAGS)
@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "nut"])
def test_the_default_track_is_heard(tmp_path, speech, suffix, flags, wanted):
    sounds = [speech[:40_000], speech[40_000:80_000], 0 * speech[:40_000]]
    path = tmp_path / f"item.{suffix}"
    codec = "opus" if suffix != "nut" else "s16"
    write(
        path,
        *(
            Track(sound, codec, default=flag)
            for sound, flag in zip(sounds, flags, strict=True)
        ),
        # Without it, Matroska's muxer flags a track of its own choice.
        options={"default_mode": "passthrough"} if suffix in ("mkv", "webm") else {},
    )
    if suffix == "mp4":
        disable(path, *(i + 1 for i, flag in enumerate(flags) if not flag))

    signal, recording = heard(path)

    assert recording.track == wanted
    if wanted == 3:
        assert not np.abs(signal).max() > 1e-3
    else:
        check_places(signal, sounds[wanted - 1], float)
    if suffix != "mp4":
        (warning,) = recording.warnings
        assert "holds 3 audio tracks" in warning
        for other in {1, 2, 3} - {wanted}:
            assert f"track {other} (" in warning


@pytest.mark.parametrize("track", [1, 2, 3])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_any_track_can_be_chosen(tmp_path, speech, suffix, track):
    sounds = [speech[:40_000], speech[40_000:80_000], speech[20_000:60_000]]
    path = tmp_path / f"item.{suffix}"
    write(path, *(Track(sound, "aac") for sound in sounds))

    signal, recording = heard(path, track=track)

    assert recording.track == track
    assert recording.warnings == []
    check_places(signal, sounds[track - 1], float)


# Samples that FFmpeg's encoder of AAC puts before the sound, in seconds.
_PRIMING_S = 1024 / 44_100


@pytest.mark.parametrize(
    "pieces",
    [
        [(1.0, 5.5)],
        [(0.0, 3.0)],
        [(1.0, 4.0)],
        [(0.5, 2.0), (3.0, 5.0)],
        [(3.0, 5.0), (0.5, 2.0)],
        [(1.0, 3.0), (1.0, 3.0)],
    ],
    ids=["start", "end", "both", "cut inside", "reordered", "twice"],
)
@pytest.mark.parametrize(
    "encoder", [("aac", _PRIMING_S, 1024 / 44_100), ("alac", 0.0, 4096 / 44_100)]
)
def test_edit_lists_are_obeyed(tmp_path, speech, encoder, pieces):
    codec, delay_s, frame_s = encoder
    path = write(tmp_path / "item.m4a", Track(speech, codec))
    edit(path, *((end - begin, begin + delay_s) for begin, end in pieces))

    signal, recording = heard(path)

    assert recording.warnings == []
    at_s = 0.0
    for begin, end in pieces:
        piece = speech[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        check_places(signal, piece, _later(at_s), tolerance_s=1.01 * frame_s)
        at_s += end - begin
    # FFmpeg, and so most players, end each piece with a whole frame.
    assert len(signal) / SAMPLE_RATE == pytest.approx(
        at_s, abs=1.01 * len(pieces) * frame_s
    )


@pytest.mark.parametrize("pre_skip", [0, 312, 3840, 48_000])
def test_the_pre_skip_of_opus_is_not_heard(tmp_path, speech, pre_skip):
    path = rewrite_ogg(
        write(tmp_path / "item.ogg", Track(speech, "opus")), pre_skip=pre_skip
    )

    signal, recording = heard(path)

    assert recording.warnings == []
    n_skipped = round((pre_skip - 312) / 3)
    assert len(signal) == pytest.approx(len(speech) - n_skipped, abs=2)
    check_places(
        signal, speech[max(0, n_skipped) :], _later(max(0, -n_skipped) / 16_000)
    )


@pytest.mark.parametrize("shift", [480, 48_000, 3600 * 48_000])
@pytest.mark.parametrize("codec", ["opus", "vorbis"])
def test_an_ogg_file_that_begins_at_an_offset(tmp_path, speech, codec, shift):
    path = write(
        tmp_path / "item.ogg",
        Track(speech, codec),
        options={"page_duration": "200000"},
    )
    rewrite_ogg(path, shift=shift)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert recording.gaps == []
    assert len(signal) == pytest.approx(len(speech), abs=0.03 * SAMPLE_RATE)
    check_places(signal, speech, float)


@pytest.mark.parametrize("n_dropped", [1, 3, 12])
@pytest.mark.parametrize(
    "encoder", [("opus", 48_000, 312), ("vorbis", 44_100, 0), ("flac", 16_000, 0)]
)
def test_a_listener_who_joins_an_ogg_stream_late(tmp_path, speech, encoder, n_dropped):
    codec, rate, delay = encoder
    path = write(
        tmp_path / "item.ogg",
        Track(speech, codec),
        options={"page_duration": "200000"},
    )
    sound_pages = [p for p in ogg_pages(path.read_bytes()) if p.granule]
    missing_s = (sound_pages[n_dropped - 1].granule - delay) / rate

    signal, recording = heard(cut_ogg(path, n_dropped))

    assert recording.warnings == []
    assert recording.gaps == []
    n_missing = round(missing_s * SAMPLE_RATE)
    assert len(signal) == pytest.approx(len(speech) - n_missing, abs=0.03 * SAMPLE_RATE)
    # A decoder needs some packets before it gives the same samples.
    check_places(signal, speech[n_missing + 3200 :], _later(0.2))


_RAW = {"write_xing": "0", "id3v2_version": "0"}
# Two files put together: codec and rate of each, channels of the second, suffix and
# options of both.
_JOINED = [
    ("mp3", None, "mp3", None, 1, "mp3", {}),
    ("mp3", None, "mp3", None, 1, "mp3", _RAW),
    ("mp3", None, "mp3", 22_050, 2, "mp3", {}),
    ("mp3", None, "mp3", 48_000, 2, "mp3", _RAW),
    ("mp2", None, "mp2", 44_100, 2, "mp2", {}),
    ("ac3", None, "ac3", 44_100, 2, "ac3", {}),
    ("aac", None, "aac", None, 1, "aac", {}),
    ("aac", None, "aac", 32_000, 2, "aac", {}),
    ("aac", 48_000, "aac", 24_000, 2, "aac", {}),
    ("aac", None, "aac", None, 1, "ts", {}),
    ("aac", None, "aac", 32_000, 2, "ts", {}),
    ("mp2", None, "mp2", 44_100, 2, "mpg", {}),
    ("opus", None, "opus", None, 1, "webm", {}),
    ("opus", None, "opus", None, 1, "webm", {"live": "1"}),
    ("opus", None, "opus", None, 2, "mkv", {}),
    ("opus", None, "opus", None, 1, "ogg", {}),
    ("opus", None, "opus", None, 2, "ogg", {}),
    ("vorbis", None, "vorbis", 32_000, 2, "ogg", {}),
    ("flac", None, "flac", 44_100, 2, "ogg", {}),
    ("opus", None, "vorbis", None, 2, "ogg", {}),
    ("vorbis", None, "opus", None, 1, "ogg", {}),
    ("flac", None, "opus", None, 1, "ogg", {}),
    ("flac", None, "flac", None, 1, "flac", {}),
]


@pytest.mark.parametrize(
    "row", _JOINED, ids=["-".join(map(str, [*row[:-1], *row[-1]])) for row in _JOINED]
)
def test_recordings_put_together_are_heard_to_the_end(tmp_path, speech, row):
    first, rate, second, second_rate, n_channels, suffix, options = row
    a, b = speech[:48_000], speech[48_000:]
    container = "adts" if suffix == "aac" else None
    wide = np.stack([b] * n_channels) if n_channels > 1 else b
    parts = [
        write(tmp_path / f"{i}.{suffix}", track, container=container, options=options)
        for i, track in enumerate(
            [Track(a, first, rate=rate), Track(wide, second, rate=second_rate)]
        )
    ]

    signal, recording = heard(join(tmp_path / f"both.{suffix}", *parts))

    assert recording.warnings == []
    assert recording.gaps == []
    check_places(signal, a, float)
    # Each part has the delay and the padding of its encoder.
    check_places(signal, b, _later(3.0), tolerance_s=0.1)
    assert 5.49 <= len(signal) / SAMPLE_RATE <= 5.7


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
    check_places(short, long[n + 3200 :], _later(0.2), tolerance_s=0.01)


def _start_s(path):
    with av.open(str(path)) as container:
        return container.start_time / av.time_base
