"""Which track is heard, and when, beside pictures and other tracks."""

from __future__ import annotations

import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from tests.odd_bytes import disable
from tests.odd_recordings import Track, write
from tests.players import check_places, envelopes_agree, heard, later, played

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
    write(path, Track(speech, codec, later(late_s)), picture=(0, 9))

    signal, recording = heard(path)

    assert recording.warnings == []
    check_places(signal, speech, later(late_s))
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
    tracks = Track(speech[::-1], "aac"), Track(speech, "aac", later(1.5))
    write(path, *tracks)

    signal, recording = heard(path, track=2)

    assert recording.track == 2
    check_places(signal, speech, later(1.5))
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
