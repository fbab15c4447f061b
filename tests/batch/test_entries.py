from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.batch.entries import (
    Entry,
    digest_of,
    find_entries,
    list_source,
)
from espressivo.errors import ArchiveError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_recordings_sorted_by_their_path_in_it(tmp_path):
    touch(tmp_path, "b/2.OGG", "b/10.wav", "a.m4a", "notes.txt", ".x.wav", ".git/y.wav")

    entries = find_entries(tmp_path)

    assert [e.id for e in entries] == ["a.m4a", "b/10.wav", "b/2.OGG"]
    assert entries[1].path == str(tmp_path / "b" / "10.wav")


def test_a_pattern_names_what_it_matches_from_its_fixed_part(tmp_path, monkeypatch):
    touch(tmp_path, "notes/x/1.ogg", "notes/y/2.ogg", "notes/y/3.wav", "4.ogg")
    monkeypatch.chdir(tmp_path)

    for pattern in ("notes/**/*.ogg", tmp_path / "notes/*/*.ogg", "notes/**/**/*.ogg"):
        entries = find_entries(pattern)
        assert [e.id for e in entries] == ["x/1.ogg", "y/2.ogg"]
        assert entries[0].path == str(tmp_path / "notes/x/1.ogg")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_manifest_gives_ids_and_paths_from_its_own_folder(tmp_path, suffix):
    table = tmp_path / f"calls{suffix}"
    columns = {"id": ["z", "a"], "path": ["in/1.ogg", "/far/2.ogg"], "who": ["x", "NA"]}
    if suffix == ".csv":
        lines = [",".join(row) for row in zip(*columns.values(), strict=True)]
        table.write_text("\n".join([",".join(columns), *lines]))
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), table)

    assert find_entries(table) == [
        Entry("a", "/far/2.ogg", cells=("",)),
        Entry("z", str(tmp_path / "in/1.ogg"), cells=("x",)),
    ]
    assert list_source(table).columns == ("who",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,path\na,1\nb,2\na,3\n", "has ids more than once \\(a\\)"),
        ("id,path\na,\n", "line 2, column path: is empty"),
        ("id,path\n,x.wav\n", "line 2, column id: is empty"),
        ("id,file\na,x.wav\n", "has no column path"),
        ("id,path\n", "holds no recording"),
        ("id,path,note,note\na,x.wav,1,2\n", "the column note more than once"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(tmp_path, text, message):
    table = tmp_path / "calls.csv"
    table.write_text(text)

    with pytest.raises(ArchiveError, match=message):
        find_entries(table)


def test_what_is_no_source_is_refused(tmp_path):
    touch(tmp_path, "a.wav")

    with pytest.raises(ArchiveError, match="is a file; pass a folder"):
        find_entries(tmp_path / "a.wav")
    with pytest.raises(ArchiveError, match="no such file"):
        find_entries(tmp_path / "nothing")
    with pytest.raises(ArchiveError, match="holds no recording"):
        find_entries(tmp_path / "*.ogg")
    with pytest.raises(ArchiveError, match="is no manifest"):
        find_entries("memory://notes")
    with pytest.raises(ArchiveError, match="is no source"):
        find_entries("")


def test_a_name_that_is_no_unicode_is_escaped_and_still_found(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(name)).touch()

    (entry,) = find_entries(tmp_path)

    assert entry.id == "caf\\udce9.wav"
    assert os.fsencode(entry.path) == name
    assert len(digest_of([entry])) == 64


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, max_size=4))
def test_other_lists_have_other_digests(pairs):
    entries = [Entry(*(x.replace("\0", "") for x in pair)) for pair in pairs]
    other = [*entries, Entry("x", "y")]

    assert digest_of(entries) == digest_of(list(entries))
    assert digest_of(entries) != digest_of(other)
