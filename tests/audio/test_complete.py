""" "Truncated" is said of recordings that were cut, and of no others."""

from __future__ import annotations

import numpy as np
import pytest

from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE
from tests.odd_bytes import drop_end_flag, join, state_size
from tests.odd_recordings import Track, write
from tests.players import check_places, heard

FAST = {"movflags": "+faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
VBR = {"flags": "+qscale", "global_quality": "590"}

# codec, suffix, options of the muxer: the format announces its length.
TELLING = [
    ("s16", "wav", {}),
    ("f32", "wav", {}),
    ("s24", "wav", {}),
    ("mulaw", "wav", {}),
    ("s16", "wav", {"rf64": "always"}),
    ("s16", "w64", {}),
    ("s16be", "aiff", {}),
    ("s16be", "au", {}),
    ("s16", "caf", {}),
    ("s16", "avi", {}),
    ("mp3", "avi", {}),
    ("flac", "flac", {}),
    ("mp3", "mp3", {}),
    ("aac", "m4a", FAST),
    ("aac", "mp4", FRAGMENTS),
    ("alac", "mov", FAST),
    ("amr", "3gp", FAST),
    ("opus", "mkv", {}),
    ("opus", "webm", {}),
    ("opus", "ogg", {}),
    ("vorbis", "ogg", {}),
    ("flac", "ogg", {}),
    ("wma", "wma", {}),
]
# The same, but nothing says how long it is to be.
SILENT = [
    ("aac", "aac", {}),
    ("mp3", "mp3", {"write_xing": "0"}),
    ("mp2", "mp2", {}),
    ("ac3", "ac3", {}),
    ("amr", "amr", {}),
    ("aac", "ts", {}),
    ("mp2", "mpg", {}),
    ("opus", "webm", {"live": "1"}),
]
# WavPack is left out above, since its blocks are too long for a cut of so little.
_BOTH = [*TELLING, *SILENT, ("wavpack", "wv", {})]
_IDS = ["-".join([codec, suffix, *options]) for codec, suffix, options in _BOTH]


@pytest.fixture(scope="module")
def quiet_first(note):
    """3 s of silence, then 3.5 s of speech: an estimate from the start is far off."""
    return np.concatenate([np.zeros(48_000, np.float32), note[2_000:58_000]])


def _write(path, sound, codec, options, **encoder):
    container = "adts" if path.suffix == ".aac" else None
    track = Track(sound, codec, options=encoder)
    return write(path, track, container=container, options=options)


def _cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


@pytest.mark.parametrize("row", _BOTH, ids=_IDS)
def test_a_complete_recording_gives_no_warning(tmp_path, quiet_first, row):
    codec, suffix, options = row
    path = _write(tmp_path / f"item.{suffix}", quiet_first, codec, options)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(quiet_first), abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.89])
@pytest.mark.parametrize("row", TELLING, ids=_IDS[: len(TELLING)])
def test_a_cut_is_told_where_the_format_can_tell(tmp_path, speech, row, share):
    codec, suffix, options = row
    path = _cut(_write(tmp_path / f"item.{suffix}", speech, codec, options), share)

    signal, recording = heard(path)

    assert any("truncated" in warning for warning in recording.warnings)
    n_heard = round((share - 0.2) * len(speech))
    assert n_heard <= len(signal) <= 1.02 * len(speech)
    # FFmpeg's encoder of WMA states no delay.
    check_places(
        signal, speech[: max(n_heard, 17_000)], float, alike=0.6, tolerance_s=0.05
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("row", SILENT, ids=_IDS[len(TELLING) : -1])
def test_a_cut_that_nothing_tells_is_analysed(tmp_path, speech, row, share):
    codec, suffix, options = row
    path = _cut(_write(tmp_path / f"item.{suffix}", speech, codec, options), share)

    signal, recording = heard(path)

    assert len(signal) / len(speech) == pytest.approx(share, abs=0.1)
    assert not any("announces" in warning for warning in recording.warnings)


@pytest.mark.parametrize("row", TELLING, ids=_IDS[: len(TELLING)])
def test_a_tenth_is_analysed_or_refused(tmp_path, speech, row):
    codec, suffix, options = row
    path = _cut(_write(tmp_path / f"item.{suffix}", speech, codec, options), 0.1)

    try:
        signal, recording = heard(path)
    except AudioError:
        return
    assert len(signal) < 0.6 * len(speech)
    assert any("truncated" in warning for warning in recording.warnings)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_without_its_index_an_mp4_file_is_refused(tmp_path, speech, share):
    path = _cut(_write(tmp_path / "item.m4a", speech, "aac", {}), share)

    with pytest.raises(AudioError, match=r"cannot be read as .* index \(moov\) is"):
        heard(path)


def test_a_part_of_its_index_is_no_index(tmp_path, speech):
    path = _write(tmp_path / "item.m4a", speech, "aac", FAST)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") + 100])

    with pytest.raises(AudioError, match=r"its index \(moov\) is missing"):
        heard(path)


def test_a_segment_without_the_first_one_is_refused(tmp_path, speech):
    path = _write(tmp_path / "item.mp4", speech, "aac", FRAGMENTS)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"moof") - 4 :])

    with pytest.raises(AudioError, match="join the segments"):
        heard(path)


_ENDLESS = 0xFFFF_FFFF
# Sizes of the whole and of the sound that writers leave in WAV files.
SIZES = {
    "none": (0, 0),
    "endless": (_ENDLESS, _ENDLESS),
    "endless, and 36 more": (_ENDLESS, _ENDLESS - 36),
    "sox to a pipe": (0x7FFF_FFFF, 0x7FFF_FFDB),
    "signed": (0x8000_0024, 0x8000_0000),
    "whole too large": (10_000_000, None),
    "whole too small": (100, None),
    "whole none": (0, None),
    "sound none": (None, 0),
    "sound endless": (None, _ENDLESS),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("codec", ["s16", "f32", "mulaw", "u8"])
def test_sizes_that_writers_to_a_pipe_leave(tmp_path, speech, codec, sizes):
    path = _write(tmp_path / "item.wav", speech, codec, {})
    whole, sound = sizes

    signal, recording = heard(state_size(path, riff=whole, sound=sound))

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(speech), abs=0.01 * SAMPLE_RATE)


_UNKNOWN_32, _LARGEST_32 = b"\xff" * 4, b"\x7f\xff\xff\xff"
# Format, and what a writer that cannot seek leaves: position behind a name, content.
STREAMED: dict[str, tuple[str, str, list[tuple[bytes, int, bytes]]]] = {
    "au": ("s16be", "au", [(b".snd", 8, _UNKNOWN_32)]),
    "aiff": ("s16be", "aiff", [(b"FORM", 4, _UNKNOWN_32), (b"SSND", 4, _UNKNOWN_32)]),
    "aiff by sox": (
        "s16be",
        "aiff",
        [
            (b"FORM", 4, _LARGEST_32),
            (b"COMM", 10, _LARGEST_32),
            (b"SSND", 4, _LARGEST_32),
        ],
    ),
    "caf": ("s16", "caf", [(b"data", 4, b"\xff" * 8)]),
    "caf of nothing": ("s16", "caf", [(b"data", 4, bytes(8))]),
    "flac": ("flac", "flac", [(b"fLaC", 22, bytes(4))]),
}


@pytest.mark.parametrize("row", STREAMED.values(), ids=STREAMED)
def test_lengths_that_other_writers_to_a_pipe_leave(tmp_path, speech, row):
    codec, suffix, changes = row
    path = _write(tmp_path / f"item.{suffix}", speech, codec, {})
    content = bytearray(path.read_bytes())
    for name, offset, value in changes:
        at = content.index(name) + offset
        content[at : at + len(value)] = value
    path.write_bytes(content)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == len(speech)


def test_a_cut_of_the_successor_of_rf64_is_told(tmp_path, speech):
    path = _write(tmp_path / "item.wav", speech, "s16", {"rf64": "always"})
    path.write_bytes(b"BW64" + path.read_bytes()[4:])

    whole, recording = heard(path)
    half, cut = heard(_cut(path, 0.5))

    assert recording.warnings == []
    np.testing.assert_array_equal(half, whole[: len(half)])
    assert any("truncated" in warning for warning in cut.warnings)


@pytest.mark.parametrize("n_samples", [8_000, 8_001])
@pytest.mark.parametrize("padding", [b"", b"\0", b"LIST\4\0\0\0INFO"])
def test_odd_sizes_and_what_follows_the_sound(tmp_path, speech, n_samples, padding):
    path = _write(tmp_path / "item.wav", speech[:n_samples], "u8", {})
    content = path.read_bytes()
    end = content.index(b"data") + 8 + n_samples
    path.write_bytes(content[:end] + padding)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == n_samples


@pytest.mark.parametrize("codec", ["opus", "vorbis", "flac"])
def test_a_missing_end_flag_is_harmless(tmp_path, quiet_first, codec):
    path = write(tmp_path / "item.ogg", Track(quiet_first, codec))

    signal, recording = heard(drop_end_flag(path))

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(quiet_first), abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize("xing", ["0", "1"])
@pytest.mark.parametrize("tag", ["0", "3", "4"])
def test_a_variable_bit_rate(tmp_path, quiet_first, xing, tag):
    options = {"write_xing": xing, "id3v2_version": tag, "write_id3v1": "1"}
    path = _write(tmp_path / "item.mp3", quiet_first, "mp3", options, **VBR)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(quiet_first), abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("aac", "mp4"), ("alac", "mov"), ("opus", "mkv"), ("mp3", "avi"), ("aac", "ts")],
)
def test_a_picture_that_outlasts_the_sound(tmp_path, speech, codec, suffix):
    path = tmp_path / f"film.{suffix}"

    signal, recording = heard(write(path, Track(speech, codec), picture=(0, 30)))

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(speech), abs=0.1 * SAMPLE_RATE)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("mp3", "mp3"), ("aac", "mp4"), ("flac", "flac")]
)
def test_an_attached_picture(tmp_path, speech, codec, suffix):
    path = tmp_path / f"item.{suffix}"

    signal, recording = heard(write(path, Track(speech, codec), cover=True))

    assert recording.warnings == []
    check_places(signal, speech, float)


_TAILS = {
    "zeros": bytes(3_000),
    "tag": b"TAG" + b"a title".ljust(125, b"\0"),
    "text": b"<html>an error of the server</html>\n" * 20,
    "ones": b"\xff" * 3_000,
}


@pytest.mark.parametrize("tail", _TAILS.values(), ids=_TAILS)
@pytest.mark.parametrize("row", TELLING, ids=_IDS[: len(TELLING)])
def test_bytes_behind_the_end_are_no_cut(tmp_path, tone, row, tail):
    codec, suffix, options = row
    path = _write(tmp_path / f"item.{suffix}", tone, codec, options)
    path.write_bytes(path.read_bytes() + tail)

    _, recording = heard(path)

    assert not any("truncated" in warning for warning in recording.warnings)


@pytest.mark.parametrize("loud_first", [False, True])
@pytest.mark.parametrize("n_parts", [2, 4])
def test_variable_bit_rates_put_together(tmp_path, speech, loud_first, n_parts):
    parts = [
        _write(tmp_path / f"{i}.mp3", sound, "mp3", {}, **VBR)
        for i, sound in enumerate([np.zeros(48_000, np.float32), speech])
    ]
    if loud_first:
        parts.reverse()

    signal, recording = heard(join(tmp_path / "all.mp3", *parts, *parts[: n_parts - 2]))

    assert recording.warnings == []
    assert len(signal) > len(speech) + 48_000
