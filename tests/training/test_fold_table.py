from pathlib import Path

import pytest

from espressivo.errors import SplitError
from espressivo.training.corpora import read_corpus
from espressivo.training.folds.protocol import (
    ProtocolConfig,
    make_folds,
)
from espressivo.training.folds.table import (
    FOLDS,
    PARTS,
    ListedUtterance,
    locate,
    read_folds,
    write_folds,
)
from tests.trees import build_iemocap

parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'train'")

HEADER = "fold,part,id,speaker"


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    root = build_iemocap(tmp_path_factory.mktemp("corpora"), n=2)
    return read_corpus("iemocap", root)


@pytest.mark.parametrize("kind", ["session", "prefix", "hold-out"])
def test_what_was_written_is_read_part_by_part(iemocap, tmp_path, kind):
    folds = make_folds(ProtocolConfig(kind=kind), iemocap)
    write_folds(folds, tmp_path / FOLDS)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDS]

    for source in (tmp_path, tmp_path / FOLDS):
        read = read_folds(source)
        assert [fold.name for fold in read] == [fold.name for fold in folds]
        for one, other in zip(read, folds, strict=True):
            for part in PARTS:
                assert getattr(one, part) == tuple(
                    ListedUtterance(
                        u.id, u.path, u.speaker, u.session, u.corpus, u.emotion, u.text
                    )
                    for u in getattr(other, part)
                )


def test_the_table_has_the_documented_columns(iemocap, tmp_path):
    write_folds(make_folds(ProtocolConfig(), iemocap), tmp_path / FOLDS)
    table = parquet.read_table(tmp_path / FOLDS)
    assert set(table.column_names) == {
        *("fold", "part", "id", "corpus", "speaker", "session"),
        *("emotion", "original", "text", "path"),
    }
    assert len(table) == 5 * len(iemocap)
    assert set(table["original"].to_pylist()) == {"ang", "hap", "exc", "neu", "sad"}


def test_a_full_disk_leaves_the_table_that_was_there(iemocap, tmp_path):
    resource = pytest.importorskip("resource", reason="only there can a disk be full")
    folds = make_folds(ProtocolConfig(), iemocap)
    write_folds(folds, tmp_path / FOLDS)
    before = (tmp_path / FOLDS).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_folds(folds, tmp_path / FOLDS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / FOLDS).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [FOLDS]


def test_a_folder_in_the_tables_place_is_left_alone(iemocap, tmp_path):
    (tmp_path / FOLDS / "mine").mkdir(parents=True)
    with pytest.raises(OSError, match=FOLDS):
        write_folds(make_folds(ProtocolConfig(), iemocap), tmp_path / FOLDS)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDS]


def test_anybodys_csv_is_read_whatever_leaks(tmp_path):
    table = tmp_path / "folds.csv"
    rows = [
        "\ufefffold,part,id,speaker,path,emotion,mood",
        "2,Train,a,one,wav/a.wav,ang,x",
        "2,test,a,one,,,",
        "1,validation,b,two,/b.wav,,",
    ]
    table.write_text("\n".join(rows), "utf-8")
    second, first = read_folds(table)
    assert (second.name, first.name) == ("2", "1")
    assert second.train == (
        ListedUtterance("a", tmp_path / "wav/a.wav", "one", emotion="ang"),
    )
    assert second.test == (ListedUtterance("a", None, "one"),)
    assert first.validation == (ListedUtterance("b", Path("/b.wav"), "two"),)
    assert first.train == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "f.csv",
            "fold,part,id\n",
            r"has no column speaker \(it has: fold, part, id\)",
        ),
        ("f.csv", HEADER, "has no rows"),
        ("f.csv", f"{HEADER}\n1,train,,x", "line 2: id is empty; fill it"),
        (
            "f.csv",
            f"{HEADER}\n1,dev,a,x",
            "part is 'dev', not one of train, validation",
        ),
        (
            "f.csv",
            f"{HEADER}\n1,train,caf\xe9,x",
            "line 2, byte 0xe9: is no CSV in UTF-8",
        ),
        ("f.parquet", "no", "is no Parquet file"),
        ("f.doc", "no", "ends in '.doc'; pass"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, "latin-1")
    with pytest.raises(SplitError, match=message) as raised:
        read_folds(tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_folder_without_folds_says_what_it_lacks(tmp_path):
    with pytest.raises(SplitError, match=r"folds\.parquet: no such file; pass a table"):
        read_folds(tmp_path)


def test_recordings_are_located_by_name_in_a_corpus_that_is_here(iemocap, tmp_path):
    u = iemocap[0]
    name = u.id.rpartition("/")[2]
    rows = [f"1,train,{u.id},s,So.", f"1,test,{name},s", "1,test,other,s"]
    (tmp_path / "f.csv").write_text("\n".join([f"{HEADER},text", *rows]))
    (fold,) = locate(read_folds(tmp_path / "f.csv"), iemocap)
    assert fold.train == (ListedUtterance(u.id, u.path, "s", text="So."),)
    assert fold.test == (
        ListedUtterance(name, u.path, "s", text=u.text),
        ListedUtterance("other", None, "s"),
    )
