from __future__ import annotations

import json
import shutil

import pytest

from espressivo.cli.main import build_parser, main
from espressivo.training.corpora import read_corpus
from espressivo.training.folds.protocol import (
    ProtocolConfig,
    make_folds,
)
from espressivo.training.folds.table import (
    FOLDS,
    write_folds,
)
from tests.trees import build_iemocap

pytest.importorskip("pyarrow", reason="needs the extra 'train'")


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    return build_iemocap(tmp_path_factory.mktemp("corpora"), n=2)


def write(root, folder, **protocol):
    folder.mkdir(exist_ok=True)
    folds = make_folds(ProtocolConfig(**protocol), read_corpus("iemocap", root))
    write_folds(folds, folder / FOLDS)
    return folder


def audit(*args):
    return main(["corpora", "audit", *map(str, args)])


def test_folds_by_session_exit_0_and_tell_what_to_report(iemocap, tmp_path, capsys):
    assert audit(write(iemocap, tmp_path / "result")) == 0
    out, err = capsys.readouterr()
    assert "result: 5 folds, 80 recordings\n" in out
    assert "note: train and test share sentences, in 5 of 5 folds\n" in out
    assert "\nleak" not in out
    assert out.endswith("\nno leak: no speaker, no audio is in two parts of a fold\n")
    assert err == ""


def test_folds_by_prefix_exit_3_and_name_who_is_where(iemocap, tmp_path, capsys):
    result = write(iemocap, tmp_path / "result", kind="prefix", select_on_test=True)
    (result / "crossval.json").write_text('{"protocol": "random"}')
    assert audit(result, "--quick") == 3
    out = capsys.readouterr().out
    assert "10 folds (random: speakers are in several parts), 80" in out
    assert audit(result / FOLDS) == 3
    out = capsys.readouterr().out
    assert "\nleak: train and test share speakers, in 10 of 10 folds\n" in out
    assert "  Ses01F: iemocap/Ses01F, iemocap/Ses01M (" in out
    assert "  ... and 6 more folds (--json names all)\n" in out
    assert "leak: test recordings choose the epoch: they are in validation too" in out
    heads = (
        "train and test share sp",
        "choose the epoch",
        "note: train and test share",
    )
    assert sorted(heads, key=out.index) == list(heads)
    assert out.endswith("\nleak in 10 of 10 folds\n")


def test_emoboxs_speakers_are_put_right(tmp_path, capsys):
    table = tmp_path / "emobox.csv"
    names = {
        "train": ("Ses01M_impro01_F000", "Ses01M_impro01_M000"),
        "test": ("Ses01F_impro01_F000", "Ses01F_impro01_M003"),
    }
    rows = [f"1,{part},{n},{n[:6]}" for part, ns in names.items() for n in ns]
    table.write_text("\n".join(["fold,part,id,speaker", *rows]))
    assert audit(table) == 3
    out = capsys.readouterr().out
    assert "  iemocap/Ses01F, iemocap/Ses01M (2 utterances, 100 % of test)\n" in out
    assert "\nwrong: the speaker column does not say who speaks\n" in out
    assert (
        "  Ses01F_impro01_M003: speaker Ses01F, but the talker is Ses01M and 1 more "
        "(2 utterances, 50 % of all)\n"
    ) in out
    assert out.endswith("(the audio of 4 of 4 recordings could not be compared)\n")


def test_an_experiment_is_audited_before_it_is_trained(iemocap, tmp_path, capsys):
    config = tmp_path / "mine.toml"
    text = f'name = "mine"\n[corpora]\niemocap = "{iemocap}"\n[protocol]\n'
    config.write_text(text + 'kind = "session"\n')
    assert audit(config) == 0
    assert "mine.toml: 5 folds (session), 80 recordings" in capsys.readouterr().out

    config.write_text(text + 'kind = "random"\nn_groups = 5\n')
    assert audit(config, "--quick") == 3
    out = capsys.readouterr().out
    assert "5 folds (random: speakers are in several parts), 80" in out
    assert out.endswith(
        "leak in 5 of 5 folds (by names alone: no audio was compared)\n"
    )


def test_a_corpus_may_be_elsewhere(iemocap, tmp_path, capsys):
    config = tmp_path / "mine.toml"
    config.write_text('name = "mine"\n[corpora]\niemocap = "absent"\n')
    assert audit(config, "--quick") == 1
    assert "absent: no such folder" in capsys.readouterr().err
    assert audit(config, "--quick", "--corpus", f"iemocap={iemocap}") == 0
    assert audit(config, "--corpus", f"tess={iemocap}") == 1
    assert "has no corpus tess (it has: iemocap)" in capsys.readouterr().err


def test_a_table_from_another_machine_is_heard_where_the_corpus_is(
    iemocap, tmp_path, capsys
):
    moved = shutil.copytree(iemocap, tmp_path / "there")
    result = write(moved, tmp_path / "result")
    shutil.rmtree(moved)
    assert audit(result) == 0
    assert "no leak: no speaker is in two parts of a fold (the audio of 80 of 80" in (
        out := capsys.readouterr().out
    )
    assert "not compared: " in out
    assert ": no such file\n" in out
    assert audit(result, "--corpus", f"iemocap={iemocap}") == 0
    assert "no audio is in two parts of a fold\n" in capsys.readouterr().out


def test_json_has_every_finding(iemocap, tmp_path, capsys):
    result = write(iemocap, tmp_path / "result", kind="prefix")
    assert audit(result, "--json") == 3
    plain = json.loads(capsys.readouterr().out)
    assert plain["leak"] is True
    assert plain["n_heard"] == plain["n_recordings"] == 80
    speakers = [f for f in plain["findings"] if f["kind"] == "speakers"]
    assert all(f["leak"] for f in speakers)
    assert {f["fold"] for f in speakers} == {part["fold"] for part in plain["parts"]}
    assert len(plain["parts"]) == 30


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.csv", "fold,part,id\n1,train,a\n", "has no column speaker"),
        ("f.csv", None, "no such file; pass a table of folds"),
        ("f.xlsx", "", "pass a .csv or .parquet table of folds"),
        ("f.toml", 'name = "x"\n[corpora]\n[protocl]\n', "did you mean 'protocol'?"),
    ],
)
def test_what_cannot_be_audited_is_one_line_and_exit_1(
    name, text, message, tmp_path, capsys
):
    if text is not None:
        (tmp_path / name).write_text(text)
    assert audit(tmp_path / name) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(str(tmp_path / name))
    assert message in err
    assert err.count("\n") == 1


def test_help_says_what_is_found_and_how_it_ends(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["corpora", "audit", "--help"])
    text = capsys.readouterr().out
    for word in (
        "speakers",
        "3 a leak",
        "examples:",
        "--corpus NAME=DIR",
        "[protocol]",
    ):
        assert word in text
