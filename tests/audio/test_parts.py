"""Recordings put together, edited, or cut out of an Ogg stream: all is heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from tests.odd_bytes import cut_ogg, edit, join, ogg_pages, rewrite_ogg
from tests.odd_recordings import Track, write
from tests.players import check_places, heard, later

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
        check_places(signal, piece, later(at_s), tolerance_s=1.01 * frame_s)
        at_s += end - begin
    # FFmpeg, and so most players, end each piece with a whole frame.
    assert len(signal) / SAMPLE_RATE == pytest.approx(
        at_s, abs=1.01 * len(pieces) * frame_s
    )


def test_an_edited_part_that_begins_late_is_complete(tmp_path, speech):
    path = write(tmp_path / "item.m4a", Track(speech, "aac"))
    edit(path, (1.0, -1), (3.0, 1.0 + _PRIMING_S))

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) / SAMPLE_RATE == pytest.approx(3, abs=1.01 * _PRIMING_S)


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
        signal, speech[max(0, n_skipped) :], later(max(0, -n_skipped) / 16_000)
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
    check_places(signal, speech[n_missing + 3200 :], later(0.2))


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
    check_places(signal, b, later(3.0), tolerance_s=0.1)
    assert 5.49 <= len(signal) / SAMPLE_RATE <= 5.7


def test_many_links_of_an_ogg_file(tmp_path, speech):
    """Each with another codec, and granule positions that begin anywhere."""
    names = ("opus", "vorbis", "flac")
    parts = [
        write(tmp_path / f"{i}.ogg", Track(speech[at : at + 16_000], names[i % 3]))
        for i, at in enumerate(range(0, len(speech), 16_000))
    ]
    rewrite_ogg(parts[3], shift=7_000_000)

    signal, recording = heard(join(tmp_path / "all.ogg", *parts))

    assert recording.warnings == []
    assert recording.gaps == []
    assert len(signal) == pytest.approx(len(speech), abs=0.1 * SAMPLE_RATE)
    for i, at in enumerate(range(0, len(speech) - 16_000, 16_000)):
        check_places(signal, speech[at : at + 16_000], later(i), tolerance_s=0.07)


def test_one_serial_number_for_all_links(tmp_path, speech):
    parts = [
        write(tmp_path / f"{i}.ogg", Track(sound, "opus"))
        for i, sound in enumerate([speech[:48_000], speech[48_000:]])
    ]
    pages = [page for part in parts for page in ogg_pages(part.read_bytes())]
    path = tmp_path / "all.ogg"
    path.write_bytes(b"".join(replace(p, serial=7).to_bytes() for p in pages))

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(speech), abs=160)
    check_places(signal, speech, float)


def test_two_tracks_of_an_ogg_file_are_no_links(tmp_path, speech):
    tracks = Track(speech[::-1], "vorbis"), Track(speech, "opus", later(1.5))
    path = write(tmp_path / "item.ogg", *tracks, options={"page_duration": "20000"})

    signal, recording = heard(path, track=2)

    assert recording.warnings == []
    check_places(signal, speech, later(1.5))
