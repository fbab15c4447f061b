"""`--excel` of the commands that print CSV."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pytest

from espressivo.cli.main import main
from tests.recordings import encode

MARK = b"\xef\xbb\xbf"


def cells(content):
    assert content.startswith(MARK)
    text = content.removeprefix(MARK).decode()
    assert MARK.decode() not in text
    return list(csv.reader(io.StringIO(text, newline="")))


def test_analyze_excel_is_its_csv_marked_and_without_formulas(
    tmp_path, note, monkeypatch, capfdbinary
):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.wav", "-öffnen.wav", "@sum(a).wav"]
    for i, name in enumerate(names):
        encode(tmp_path / name, note[80_000 * i : 80_000 * (i + 1)])

    assert main(["analyze", "--csv", "--", *names]) == 0
    plain = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode())))
    for options in (["--excel"], ["--csv", "--excel"]):
        assert main(["analyze", *options, "--", *names]) == 0
        found = cells(capfdbinary.readouterr().out)

        assert found[0] == plain[0]
        assert [row[1:] for row in found] == [row[1:] for row in plain]
        assert [row[0] for row in found[1:]] == [f"'{row[0]}" for row in plain[1:]]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_excel_is_utf_8_whatever_the_encoding_of_the_output(tmp_path, note, encoding):
    path = encode(tmp_path / "日記.wav", note[:80_000])
    done = subprocess.run(
        [sys.executable, "-m", "espressivo", "analyze", str(path), "--excel"],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding, "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert cells(done.stdout)[1][0] == str(path)


def test_listen_excel(note, tmp_path):
    path = encode(tmp_path / "note.wav", note[:80_000])
    done = subprocess.run(
        [sys.executable, "-m", "espressivo", "listen", "-", "--excel"],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert cells(done.stdout)[-1][:2] == ["stdin", "recording"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["analyze", "a.wav", "--json", "--excel"], "leave --json out"),
        (["listen", "-", "--lines", "--excel"], "leave --json and --lines out"),
        (["tables", "runs", "--latex", "--excel"], "leave --latex out"),
    ],
)
def test_excel_is_a_form_of_csv_alone(argv, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(argv)

    assert exit_.value.code == 2
    assert f"--excel is a form of CSV; {message}" in capsys.readouterr().err
