from __future__ import annotations

import csv
import io
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.errors import ArchiveError
from espressivo.files import tables
from espressivo.files.tables import iter_rows, read_rows

ROWS = [("ä/1.ogg", "Zoë"), ("b, c;d.ogg", 'says "no"\nand goes'), ("日本.ogg", "x")]
NEWLINES = ("\n", "\r\n", "\r")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


def written(rows, separator=",", newline="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=separator, lineterminator=newline, quoting=quoting
    )
    writer.writerows(rows)
    return text.getvalue()


def read(tmp_path, content, required=("path", "who"), optional=(), suffix=".csv"):
    table = tmp_path / f"calls{suffix}"
    if isinstance(content, str):
        content = content.encode()
    table.write_bytes(content)
    return read_rows(table, "manifest", required, optional, ArchiveError)


def values(rows):
    return [(row["path"], row["who"]) for _, row in rows]


@pytest.mark.parametrize(
    ("encoding", "separator", "newline"),
    [*product(ENCODINGS, ",;\t|", NEWLINES)],
)
def test_every_way_to_save_a_table_gives_the_same(
    tmp_path, encoding, separator, newline
):
    text = written([("path", "who"), *ROWS], separator, newline)

    rows = read(tmp_path, text.encode(encoding))

    assert values(rows) == ROWS
    # The second cell of line 3 has two lines.
    assert [where for where, _ in rows] == ["line 2", "line 3", "line 5"]


@pytest.mark.parametrize(
    "header", ["Path;WHO", " path ; who ", '"Path";"Who "', "\ufeffPath\u00a0;who"]
)
@pytest.mark.parametrize("first", ["", "\n", ";;\n", "sep=;\n"])
@pytest.mark.parametrize("last", ["", "\n\n", ";\n;;;\n", "\n \n"])
def test_headers_and_empty_lines_of_any_kind(tmp_path, header, first, last):
    text = f"{first}{header};;\n1.ogg;x;;\n\n2.ogg;y\n{last}"

    assert values(read(tmp_path, text)) == [("1.ogg", "x"), ("2.ogg", "y")]


@pytest.mark.parametrize(
    "text",
    [
        "a,b;who;c,d\nx,y;me;z,z,z\n",
        "who;a,b,c,d;e,f\nme;x,y;z,z\n",
        "# who: me, you\n#;who\n1;me\n",  # a note, and a column called #
    ],
)
def test_the_separator_is_the_one_that_names_most_columns(tmp_path, text):
    rows = read(tmp_path, text, required=("who",))

    assert [row["who"] for _, row in rows] == ["me"]


@pytest.mark.parametrize(
    "empty", ["", " ", "nan", "NaN", "None", "<NA>", "NULL", "NaT", "NA", "#N/A"]
)
def test_what_says_that_there_is_no_value_is_empty(tmp_path, empty):
    rows = read(tmp_path, f"path,who\n1.ogg,{empty}\nnan.ogg,Nan\n")

    assert values(rows) == [("1.ogg", ""), ("nan.ogg", "Nan")]


def test_parquet_has_the_same_empty_values_and_no_halves(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs the extra `archive`")
    from pyarrow import parquet

    columns = {
        "Path ": ["a.ogg", "nan", None, "b.ogg"],
        "WHO": [12.0, float("nan"), None, 0.5],
        "N": [1, 2, 3, 4],
        "raw": [b"caf\xc3\xa9", b"", None, b"x"],
    }
    parquet.write_table(pa.table(columns), tmp_path / "calls.parquet")

    table = tmp_path / "calls.parquet"
    rows = [*iter_rows(table, "manifest", ("path", "who"), ("n", "raw"), ArchiveError)]

    assert values(rows) == [("a.ogg", "12"), ("", ""), ("", ""), ("b.ogg", "0.5")]
    assert [row["n"] for _, row in rows] == ["1", "2", "3", "4"]
    assert [row["raw"] for _, row in rows] == ["café", "", "", "x"]


def test_values_of_parquet_that_python_lacks_name_their_column(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs the extra `archive`")
    from pyarrow import parquet

    table = tmp_path / "calls.parquet"
    columns = {"path": ["a.ogg"], "much": [1e300], "a.b": ["dot"], "a": [{"b": 1}]}
    late = {"late": pa.array([3_789_000], pa.date32())}  # the year 12343

    def cells(columns):
        parquet.write_table(pa.table(columns), table)
        return [*iter_rows(table, "manifest", ["path"], [], ArchiveError, others=True)]

    (row,) = [row for _, row in cells(columns)]
    assert row == {"path": "a.ogg", "much": "1e+300", "a.b": "dot", "a": "{'b': 1}"}
    with pytest.raises(ArchiveError, match="column late: holds what cannot be read"):
        cells(columns | late)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "file;who\n",
            r"no column path \(it has: file, who\), separated by semicolons",
        ),
        ("file\twho\n", r"no column path \(it has: file, who\), separated by tabs"),
        ("path who\n", r"no column path, who \(it has: path who\), separated by com"),
        ("", r"has no column path, who \(it has: none\); add it"),
        ("path,Path,who\n", None),
        ("PATH,Path,who\n", "has the column path 2 times; rename all but one"),
        ("path,who\n1.ogg,x\n2,3.ogg,y\n", r"line 3: has 3 cells, the first line 2; "),
        ('path,who\n"1.ogg,x\n2.ogg,y\n', "is no CSV .*close each quotation mark"),
        (
            b"path,who\n1.ogg,x\ncaf\xe9.ogg,y\n",
            "line 3, byte 0xe9: is no CSV in UTF-8",
        ),
        (
            b"path,who\r1.ogg,x\rcaf\xe9.ogg,y\r",
            "line 3, byte 0xe9: is no CSV in UTF-8",
        ),
        (b"\xff\xfep\x00a\x00t\x00h\x00,", "is no CSV in UTF-16"),
        (b"PK\x03\x04\x14\x00\x06\x00", "is an Excel workbook or a zip file, not CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel workbook, not CSV"),
        (b"PAR1\x15\x04\x15", "is a Parquet file; end its name in .parquet"),
    ],
)
def test_what_cannot_be_taken_says_what_to_change(tmp_path, content, message):
    if message is None:  # one that is exact is enough
        assert read(tmp_path, content) == []
        return
    with pytest.raises(ArchiveError, match=message) as raised:
        read(tmp_path, content)
    assert str(raised.value).startswith(str(tmp_path / "calls.csv"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".TAB"])
def test_other_endings_of_text_tables(tmp_path, suffix):
    rows = read(tmp_path, "path\twho\n1.ogg\tx\n".encode("utf-16"), suffix=suffix)

    assert values(rows) == [("1.ogg", "x")]


def test_a_table_that_may_not_be_read(tmp_path):
    with pytest.raises(ArchiveError, match=r"cannot be read \(.*; make it readable"):
        read_rows(tmp_path / "no.csv", "manifest", ("path",), (), ArchiveError)


CELL = st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8
).map(lambda text: f"x{text}x")


@given(
    rows=st.lists(st.tuples(CELL, CELL), max_size=5),
    form=st.tuples(
        st.sampled_from(",;\t|"),
        st.sampled_from(NEWLINES),
        st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    ),
    encoding=st.sampled_from(ENCODINGS),
)
def test_any_cells_come_back(tmp_path_factory, rows, form, encoding):
    text = written([("Path", "who "), *rows], *form)

    found = read(tmp_path_factory.mktemp("tables"), text.encode(encoding))

    assert values(found) == rows


def test_a_list_of_rows_is_bounded(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = tmp_path / "calls.parquet"
    monkeypatch.setattr(tables, "_MOST_LISTED", 10)
    for n in (10, 11):
        parquet.write_table(pa.table({"id": ["a"] * n}), table)
        if n == 10:
            assert len(read_rows(table, "manifest", ["id"], [], ArchiveError)) == n
    with pytest.raises(ArchiveError, match="more than 10 rows"):
        read_rows(table, "manifest", ["id"], [], ArchiveError)

    parquet.write_table(pa.table({"id": ["x" * 10_000_000]}), table)
    with pytest.raises(ArchiveError, match="10,000,000 characters") as caught:
        read_rows(table, "manifest", ["id"], [], ArchiveError)
    assert len(str(caught.value)) < 300 + len(str(table))
