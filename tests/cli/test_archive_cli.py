from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs the extra `archive`")

from espressivo.cli.main import main
from tests.archives import rows
from tests.recordings import encode


@pytest.fixture(scope="module")
def notes(tmp_path_factory, note):
    folder = tmp_path_factory.mktemp("notes")
    for i in range(3):
        encode(folder / f"{i}.wav", note[40_000 * i : 40_000 * (i + 1)])
    return folder


@pytest.fixture
def mixed(notes, tmp_path):
    table = tmp_path / "mixed.csv"
    lines = [f"{i},{notes}/{i}.wav" for i in range(4)]
    table.write_text("\n".join(["id,path", *lines]))
    return table


def test_a_folder_becomes_tables_and_a_summary(notes, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["archive", str(notes), "--out", str(out)]) == 0

    text, err = capsys.readouterr()
    assert err == ""
    assert text.startswith("3 of 3 recordings analysed\n3 with speech, 0 without\n")
    assert "0.00 hours of sound" in text
    assert "x real time" in text
    assert [row["id"] for row in rows(out, "recordings")] == ["0.wav", "1.wav", "2.wav"]

    assert main(["archive", str(notes), "--out", str(out)]) == 0
    assert "all of it was done before" in capsys.readouterr().out


def test_some_that_failed_exit_3_and_are_counted_by_kind(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["archive", str(mixed), "--out", str(out), "--workers", "1"]) == 3

    text = capsys.readouterr().out
    assert f"1 failed, each with its reason in {out}/failures:\n" in text
    assert "        1  missing\n" in text
    assert [row["id"] for row in rows(out, "failures")] == ["3"]


def test_only_failures_exit_1(tmp_path, capsys):
    (tmp_path / "empty.wav").touch()
    assert main(["archive", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "0 of 1 recordings analysed" in capsys.readouterr().out


def test_silence_has_no_emotion_and_is_no_failure(tmp_path, capsys):
    encode(tmp_path / "silence.wav", np.zeros(16_000, np.float32))
    assert main(["archive", str(tmp_path), "--out", str(tmp_path / "out")]) == 0

    text = capsys.readouterr().out
    assert "0 with speech, 1 without" in text
    assert "neutral" not in text


def test_other_arguments_are_refused_and_restart_deletes(mixed, tmp_path, capsys):
    out = str(tmp_path / "out")
    main(["archive", str(mixed), "--out", out, "--shard-size", "2"])
    capsys.readouterr()

    assert main(["archive", str(mixed), "--out", out]) == 1
    err = capsys.readouterr().err
    assert "the shard size is 32, was 2" in err
    assert "--restart" in err
    assert main(["archive", str(mixed), "--out", out, "--restart"]) == 3


def test_the_figure(notes, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    path, out = tmp_path / "emotions.png", str(tmp_path / "out")

    assert main(["archive", str(notes), "--out", out, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert main(["archive", str(notes), "--out", out, "--plot", "x.doc"]) == 1
    assert "a figure is one of" in capsys.readouterr().err


def test_what_is_missing_is_one_line(tmp_path, capsys):
    assert main(["archive", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}: holds no recording")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["in"],
        ["in", "--out", "x", "--workers", "0"],
        ["in", "--out", "x", "--engine", "spark"],
        ["in", "--out", "x", "--engine", "ray", "--workers", "2"],
    ],
)
def test_a_wrong_command_line_exits_2(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["archive", *argv])

    assert exit_.value.code == 2
    assert "usage: espressivo archive" in capsys.readouterr().err


def test_help_names_inputs_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["archive", "--help"])

    text = capsys.readouterr().out
    for word in ("manifest", "pattern", "--restart", "130 interrupted", "kill -9"):
        assert word in text
