"""Manifests that somebody made to do harm."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra `archive`")
import pyarrow as pa
from pyarrow import parquet

from espressivo.batch import ArchiveOptions, analyze_archive, find_entries
from espressivo.errors import ArchiveError
from tests.archives import rows, run

MODEL = "espressivo-tiny"


def repeated(text, n):
    """Return a column that holds a text once, and n indices of it."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [text])


def written(folder, **options):
    columns = options.pop("columns")
    table = folder / "calls.parquet"
    parquet.write_table(pa.table(columns), table, compression="zstd", **options)
    assert table.stat().st_size < 2_000_000
    return table


def refused(table):
    """Return the one short line with which a manifest is refused."""
    with pytest.raises(ArchiveError) as caught:
        find_entries(table)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600 + len(str(table))
    return message


def test_a_column_that_unpacks_to_hundreds_of_megabytes_is_not_read(tmp_path):
    columns = {
        "id": [str(i) for i in range(300)],
        "path": repeated("a.wav", 300),
        "note": pa.repeat("x" * 2**20, 300),
    }
    table = written(tmp_path, columns=columns, use_dictionary=False)

    assert "column note: would unpack from" in refused(table)


def test_a_long_cell_that_repeats_is_not_multiplied(tmp_path):
    # Half a terabyte as texts of their own.
    n = 20_000
    columns = {
        "id": [str(i) for i in range(n)],
        "path": repeated("a.wav", n),
        "note": repeated("x" * 25_000_000, n),
    }

    assert "column note: has a cell of 25,000,000 bytes" in refused(
        written(tmp_path, columns=columns)
    )


def test_a_text_that_repeats_is_in_memory_once(tmp_path):
    # Two gigabytes as texts of their own.
    n = 2000
    columns = {
        "id": [str(i) for i in range(n)],
        "path": repeated("a.wav", n),
        "note": repeated("x" * 1_000_000, n),
    }

    entries = find_entries(written(tmp_path, columns=columns))

    assert len(entries) == n
    assert len({id(entry.cells[0]) for entry in entries}) == 1


def test_ids_that_repeat_for_ever_are_not_read_to_their_end(tmp_path):
    n = 3_000_000
    columns = {"id": repeated("a", n), "path": repeated("a.wav", n)}

    assert "has ids more than once (a)" in refused(written(tmp_path, columns=columns))


@pytest.mark.parametrize("column", ["id", "path", "group", "speaker"])
def test_names_of_megabytes_are_refused(tmp_path, column):
    columns = {name: ["a"] for name in ("id", "path", "group", "speaker")}
    columns[column] = ["x" * 10_000_000]

    message = refused(written(tmp_path, columns=columns))

    assert f"row 1, column {column}: has 10,000,000 characters (xxx" in message


def test_names_of_columns_of_megabytes_are_refused(tmp_path):
    columns = {"id": ["a"], "x" * 100_000: ["a.wav"]}

    assert "has no column path" in refused(written(tmp_path, columns=columns))


@pytest.mark.parametrize("keep", [0, 4, 100, -8, -1])
def test_a_manifest_that_was_cut_is_refused(tmp_path, keep):
    columns = {"id": ["a"], "path": ["a.wav"]}
    table = written(tmp_path, columns=columns)
    table.write_bytes(table.read_bytes()[:keep])

    assert "is no Parquet file" in refused(table)


def test_paths_may_lead_out_of_the_manifests_folder(tmp_path):
    # A manifest is a list of the user's own, and may name any recording: docs/archive.
    (tmp_path / "in").mkdir()
    table = tmp_path / "in" / "calls.csv"
    table.write_text("id,path\na,../a.wav\nb,/far/b.wav\n")

    assert [e.path for e in find_entries(table)] == [
        f"{tmp_path}/in/../a.wav",
        "/far/b.wav",
    ]


class Host(BaseHTTPRequestHandler):
    """A host that notes what it is asked for."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the name is the library's

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    asked: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Noting", (Host,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def hostile(folder, url, wav):
    """Write a manifest of odd addresses, and return it with the ids of each."""
    (folder / "list.json").write_text(json.dumps({"a.wav": [str(wav)]}))
    paths = {
        "chain": f"reference://a.wav::file://{folder}/list.json",
        "far chain": f"simplecache::{url}/chained.wav",
        "zip": f"zip://a.wav::{url}/chained.zip",
        "nowhere": "nosuch://bucket/a.wav",
        "no folder": "dir://a.wav",
        "reference": "reference://a.wav",
        "device": "file:///dev/zero",
        "folder": f"file://{folder}",
        "missing": f"file://{folder}/no.wav",
        "bucket": "s3://espressivo.invalid/a.wav",
        "dots": f"file://{folder}/..",
        "lines": f"file://{folder}/a\\nb.wav",
    }
    table = folder / "odd.csv"
    lines = [f'"{id_}","{path}"' for id_, path in paths.items()]
    table.write_text("\n".join(["id,path", *lines, f"good,file://{wav}"]))
    return table, {*paths}


def require_failures(out, ids, folder):
    failures = {row["id"]: row["reason"] for row in rows(out, "failures")}
    assert failures.keys() == ids
    for id_, reason in failures.items():
        assert reason.startswith(f"{id_}: ")
        assert "\n" not in reason
        assert len(reason) < 600 + len(str(folder))
    for id_ in ("chain", "far chain", "zip"):
        assert "is a chain of stores" in failures[id_]
    assert [row["id"] for row in rows(out, "recordings")] == ["good"]


def test_odd_addresses_are_failures_and_ask_no_host(notes, tmp_path, host):
    pytest.importorskip("fsspec", reason="needs the extra `cluster`")
    url, asked = host
    table, ids = hostile(tmp_path, url, notes / "silence.wav")

    out = tmp_path / "out"
    options = ArchiveOptions(workers=1)
    summary = analyze_archive(table, out, model=MODEL, options=options)

    assert summary.n_failed == len(ids)
    require_failures(out, ids, tmp_path)
    assert not asked


def test_the_same_on_a_cluster(notes, tmp_path, host):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    url, asked = host
    table, ids = hostile(tmp_path, url, notes / "silence.wav")

    out = tmp_path / "out"
    done = run(table, "--out", out, "--engine", "ray", "--model", MODEL)

    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    require_failures(out, ids, tmp_path)
    assert not asked
