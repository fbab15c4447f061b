import json

import pytest

from espressivo.cli.main import build_parser, main
from espressivo.model.find import DEFAULT, find_model

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["export", "--help"])

    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "espressivo export runs/tiny --out models/tiny" in out
    assert "not written (exit 1)" in out


@pytest.mark.parametrize(
    "wrong",
    [
        ["export", "run"],
        ["export", "run", "--out", "x", "--precision", "int3"],
        ["export", "run", "--out", "x", "--bits", "4"],
        ["export", "run", "--out", "x", "--budget", "much"],
        ["export", "run", "--out", "x", "--corpus", "nameless"],
        ["export", "run", "--out", "x", "--calibration", "0"],
    ],
    ids=lambda argv: argv[-1],
)
def test_a_wrong_command_line_exits_2(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(wrong)

    assert stop.value.code == 2


def test_a_run_that_is_none_is_one_line_and_exit_1(tmp_path, capsys):
    code = main(["export", str(tmp_path / "none"), "--out", str(tmp_path / "model")])

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "none: no such folder; pass a folder that `espressivo train` wrote" in err
    assert not (tmp_path / "model").exists()


def test_a_folder_of_runs_or_a_model_is_told_from_a_run(tmp_path, capsys):
    (tmp_path / "result/Ses01/seed-0").mkdir(parents=True)
    (tmp_path / "result/Ses01/seed-0/run.json").touch()
    model = find_model(DEFAULT)
    for wrong, message in (
        ("result", f"holds 1 run, such as {tmp_path / 'result/Ses01/seed-0'}"),
        ("result/Ses01/seed-0/run.json", "run.json: is no folder"),
        (model, "is a model folder, so it is exported already"),
    ):
        argv = ["export", str(tmp_path / wrong), "--out", str(tmp_path / "model")]
        assert main(argv) == 1
        assert message in capsys.readouterr().err


def test_a_target_in_the_way_is_one_line_and_exit_1(tmp_path, capsys):
    (tmp_path / "model.json").write_text(json.dumps({"format_version": 1}))

    code = main(["export", str(tmp_path), "--out", str(tmp_path)])

    assert code == 1
    assert "holds a model already; pass another folder" in capsys.readouterr().err


def test_options_that_contradict_are_one_line_and_exit_1(tmp_path, capsys):
    argv = ["export", str(tmp_path), "--out", str(tmp_path / "model")]

    code = main([*argv, "--precision", "fp16", "--budget", "0.02"])

    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (1, 1)
    assert "a budget is for int8, not fp16" in err


def test_an_interruption_says_what_is_kept(tmp_path, capsys, monkeypatch):
    import espressivo.training.export

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(espressivo.training.export, "export_run", interrupt)

    code = main(["export", "run", "--out", str(tmp_path / "m"), "--cache", "measured"])

    err = capsys.readouterr().err
    assert code == 130
    assert "nothing was written; what was measured is kept in measured" in err
