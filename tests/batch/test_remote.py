"""Archives in stores that fsspec knows; `local://` is one that every machine has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import pytest

pytest.importorskip("fsspec", reason="needs the extra `cluster`")

from espressivo.batch import (
    ArchiveOptions,
    analyze_archive,
    read_summary,
)
from espressivo.batch.entries import Entry
from espressivo.batch.store import (
    LocalStore,
    RemoteStore,
)
from espressivo.batch.worker import receive_entries
from espressivo.errors import ArchiveError
from tests.archives import contents, rows
from tests.waiting import until

OPTIONS = ArchiveOptions(shard_size=4)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_both_stores_keep_the_same_promises(tmp_path, kind):
    root = tmp_path / "deep" / "er"
    store = LocalStore(root) if kind == "local" else RemoteStore(f"local://{root}")

    assert store.names() == store.names("a") == set()
    with store.held():
        store.write("a/1", b"one")
        store.write("a/1", b"two")
        store.write("plan", b"")
    assert store.read("a/1") == b"two"
    assert store.names() == {"a", "plan"}
    assert store.names("a") == {"1"}
    with pytest.raises(FileNotFoundError):
        store.read("a/2")
    store.delete("a/1")
    assert store.names("a") == set()


def test_an_address_gives_the_tables_that_a_path_does(notes, whole, tmp_path):
    out = f"local://{tmp_path}/out"

    analyze_archive(notes, out, options=OPTIONS)

    assert contents(tmp_path / "out") == contents(whole)
    assert read_summary(out) == read_summary(whole)
    with pytest.raises(ArchiveError, match="shard size is 5, was 4"):
        analyze_archive(notes, out, options=ArchiveOptions(shard_size=5))


def test_a_manifest_and_its_recordings_may_lie_elsewhere(notes, analyzer, tmp_path):
    table = notes.parent / "far.csv"
    far = f"local://{notes}/silence.wav"
    lines = ["id,path", "b,notes/days/000.wav", f"a,{far}", "c,notes/absent.wav"]
    table.write_text("\n".join(lines))

    analyze_archive(f"local://{table}", tmp_path / "out", options=OPTIONS)

    found = {row["id"]: row for row in rows(tmp_path / "out", "recordings")}
    assert list(found) == ["a", "b"]
    assert found["a"]["path"] == far
    report = analyzer.analyze(notes / "days" / "000.wav").to_dict()
    assert {e: found["b"][e] for e in report["probabilities"]} == report[
        "probabilities"
    ]
    (failure,) = rows(tmp_path / "out", "failures")
    assert (failure["id"], failure["kind"]) == ("c", "missing")


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ArchiveError, match="cannot be read"):
        analyze_archive(f"local://{tmp_path}/no.csv", tmp_path / "out")
    with pytest.raises(ArchiveError, match="fsspec cannot reach here"):
        analyze_archive(f"nonsense://{tmp_path}/no.csv", tmp_path / "out")


def test_the_next_ones_are_copied_while_one_is_analysed(notes, tmp_path):
    ours, theirs = Pipe()
    names = ["days/000.wav", "silence.wav", "readme.txt"]
    entries = [Entry(name, f"local://{notes}/{name}") for name in names]
    for entry in entries:
        ours.send(entry)

    with ThreadPoolExecutor(2) as pool:
        arriving = receive_entries(theirs, pool, tmp_path)
        first, copy = next(arriving)
        until(lambda: len([*tmp_path.glob("*/*")]) == 3)  # nobody asked for two yet
        path, deleting = copy.result()
        assert first == entries[0]
        assert path.read_bytes() == (notes / names[0]).read_bytes()
        deleting.close()
        assert not path.exists()
        for entry in entries[1:]:
            found, copy = next(arriving)
            assert found == entry
            copy.result()[1].close()
    assert not [*tmp_path.iterdir()]
