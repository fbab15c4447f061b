from __future__ import annotations

import json
import shutil

import pytest

from espressivo.cli.main import main
from espressivo.training.corpora import CORPORA
from tests.recordings import encode
from tests.trees import build_iemocap


def test_every_corpus_is_listed_with_its_licence(capsys):
    assert main(["corpora", "list"]) == 0
    text = capsys.readouterr().out
    for name in CORPORA:
        assert f"\n{name} " in text
    assert "CC BY-NC-SA" in text

    assert main(["corpora"]) == 0
    assert capsys.readouterr().out == text


def test_a_complete_corpus_exits_0(shared, capsys):
    args = ["corpora", "check", "ravdess", str(shared / "corpora/ravdess"), "--quick"]
    assert main(args) == 0
    out, err = capsys.readouterr()
    assert out.endswith("complete (by names alone: nothing was decoded)\n")
    assert "missing" not in out
    assert err == ""


def test_an_incomplete_corpus_exits_1_and_names_what_is_wrong(tmp_path, note, capsys):
    encode(tmp_path / "OAF_back_angry.wav", note[16_000:32_000])
    (tmp_path / "OAF_back_sad.wav").write_text("not audio")

    assert main(["corpora", "check", "tess", str(tmp_path)]) == 1

    out = capsys.readouterr().out
    assert "missing: 1598\n  OAF_back_happy\n" in out
    assert "... and 1578 more (--json names all)\n" in out
    assert "OAF_back_sad.wav: cannot be read as a recording" in out
    assert out.endswith("not complete\n")


def test_what_half_an_iemocap_lacks_is_told(tmp_path, capsys):
    root = build_iemocap(tmp_path, n=1)
    shutil.rmtree(root / "Session3")
    shutil.rmtree(root / "Session4/dialog/EmoEvaluation")

    assert main(["corpora", "check", "iemocap", str(root), "--quick"]) == 1

    out = capsys.readouterr().out
    assert "speakers of whom nothing is there: 2\n  Ses03F\n  Ses03M\n" in out
    assert "without a label in the corpus's sheets: 12\n  Ses04" in out
    assert "  session Ses01, ang: 2 of 229\n" in out


def test_json_names_all(tmp_path, note, capsys):
    encode(tmp_path / "OAF_back_angry.wav", note[16_000:32_000])
    args = ["corpora", "check", "tess", str(tmp_path), "--quick", "--json"]
    assert main(args) == 1
    plain = json.loads(capsys.readouterr().out)
    assert len(plain["missing"]) == 1599
    assert plain["decoded"] is False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["emo", "."], "corpus 'emo' is unknown; pass one of crema-d, emodb"),
        (["tess", "absent"], "absent: no such folder; pass"),
        (["manifest", "absent.csv"], "absent.csv: no such file; pass"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_exit_1(args, message, capsys):
    assert main(["corpora", "check", *args]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_parts_that_are_left_out_are_told(shared, capsys):
    folder = str(shared / "corpora/emotiontts")
    assert main(["corpora", "check", "emotiontts", folder, "--quick"]) == 0
    out = capsys.readouterr().out
    assert "\nparts left out:\n  given on request: 5700\n" in out
    assert out.endswith("complete (by names alone: nothing was decoded)\n")

    assert main(["corpora", "check", "emotiontts", folder, "--quick", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["left_out"] == {"given on request": 5700}


def test_a_selection_is_told_as_one(shared, capsys):
    assert main(["corpora", "check", "librispeech", str(shared / "speech")]) == 0
    out = capsys.readouterr().out
    assert "in none of its published parts, so not compared: 60\n" in out
    assert "left out" not in out
    assert out.endswith("/speech: a selection, intact\n")
