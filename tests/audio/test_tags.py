"""Whatever the tags of a recording hold, it is heard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espressivo.types import SAMPLE_RATE
from tests.odd_bytes import substitute
from tests.odd_recordings import Track, write
from tests.players import heard

_TITLE = "EIGHTEEN-LETTERS-X"
# Bytes that are no UTF-8: other encodings, garbage, half a character; and controls.
_FOREIGN = {
    "Latin-1": "Bj\xf6rk \xe5 l'\xe9t\xe9".encode("latin-1"),
    "UTF-16": "\ufeffM\xfcller".encode("utf-16-le"),
    "Shift JIS": "\u97f3\u58f0\u306e\u8a18\u9332".encode("shift-jis"),
    "garbage": bytes(range(0xEE, 0x100)),
    "cut": b"A title that ends\xe2",
    "control": b"a\x1b[31mred\n\r\x07\x08\x85",
}
_FOREIGN = {name: title.ljust(18, b".") for name, title in _FOREIGN.items()}


# Codec, suffix, options of the muxer: each has another kind of tag.
TAGGED = [
    ("opus", "ogg", {}),
    ("vorbis", "ogg", {}),
    ("flac", "flac", {}),
    ("mp3", "mp3", {"id3v2_version": "3", "write_id3v1": "1"}),
    ("mp3", "mp3", {"id3v2_version": "4"}),
    ("aac", "m4a", {}),
    ("aac", "mov", {}),
    ("s16", "wav", {}),
    ("s16be", "aiff", {}),
    ("s16", "caf", {}),
    ("s16", "avi", {}),
    ("opus", "mkv", {"write_crc32": "0"}),
    ("wma", "wma", {}),
    ("aac", "flv", {}),
    ("aac", "ts", {}),
    ("s16be", "au", {}),
]


@pytest.mark.parametrize("title", _FOREIGN.values(), ids=_FOREIGN)
@pytest.mark.parametrize(
    "row", TAGGED, ids=["-".join([c, s, *o]) for c, s, o in TAGGED]
)
def test_any_metadata(tmp_path, tone, row, title):
    codec, suffix, options = row
    path = tmp_path / f"item.{suffix}"
    write(
        path,
        Track(tone, codec),
        options=options,
        tags={"title": _TITLE, "artist": _TITLE, "service_name": _TITLE},
    )
    content = path.read_bytes()
    if _TITLE.encode() in content:
        substitute(path, _TITLE.encode(), title)
    else:
        substitute(path, _TITLE.encode("utf-16-le"), 2 * title)

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(tone), abs=0.15 * SAMPLE_RATE)


@settings(max_examples=40)
@given(
    row=st.sampled_from(TAGGED),
    title=st.binary(min_size=18, max_size=18),
    encoding=st.integers(0, 4),
)
def test_any_bytes_in_a_tag(tmp_path_factory, tone, row, title, encoding):
    codec, suffix, options = row
    path = tmp_path_factory.mktemp("tags") / f"item.{suffix}"
    write(
        path,
        Track(tone, codec),
        options=options,
        tags={"title": _TITLE, "service_name": _TITLE},
    )
    content = path.read_bytes()
    for old, new in (
        # The byte before the text of an ID3 tag names its encoding.
        (b"\x03" + _TITLE.encode(), bytes([encoding]) + title),
        (_TITLE.encode(), title),
        (_TITLE.encode("utf-16-le"), 2 * title),
    ):
        if old in content:
            substitute(path, old, new)
            break

    signal, recording = heard(path)

    assert recording.warnings == []
    assert len(signal) == pytest.approx(len(tone), abs=0.15 * SAMPLE_RATE)


@pytest.mark.parametrize("title", _FOREIGN.values(), ids=_FOREIGN)
def test_the_name_of_a_track_is_printed_on_one_line(tmp_path, tone, title):
    path = tmp_path / "item.mkv"
    tags = {"title": _TITLE, "language": "ger"}
    write(
        path,
        Track(tone, "opus"),
        Track(tone, "opus", tags=tags),
        options={"write_crc32": "0"},
    )
    substitute(path, _TITLE.encode(), title)

    _, recording = heard(path)

    (warning,) = recording.warnings
    assert "track 2 (opus, ger" in warning
    assert warning.isprintable()
