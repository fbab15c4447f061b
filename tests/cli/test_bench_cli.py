from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from espressivo.bench.measure import BenchOptions
from espressivo.cli.main import main
from espressivo.model.find import DEFAULT
from tests.bench.test_bench import LARGE, MODEL, report_of


@pytest.fixture
def asked(monkeypatch):
    """What the command asks `bench` for; it is answered with two made-up models."""
    calls = []

    def answer(subjects, options, progress):
        calls.append(([subject.name for subject in subjects], options))
        return report_of(MODEL, LARGE)

    monkeypatch.setattr("espressivo.bench.measure.bench", answer)
    return calls


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--help"])

    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "espressivo bench a.onnx b.onnx --rounds 51 --plot pareto.png" in out
    assert "Several are timed in turn" in out


def test_the_bundled_model_is_measured_by_default(asked, capsys):
    assert main(["bench"]) == 0

    out, err = capsys.readouterr()
    assert asked == [([DEFAULT], BenchOptions(8.0, 21, None))]
    assert "size (MB)" in out
    assert "A processor (avx512_vnni), 8 cores, load 0.1 before" in out
    assert "warning: times of small, large spread" in out
    assert "slowest nodes" not in out
    assert err == ""


def test_options_reach_the_bench(asked):
    main(["bench", "espressivo-tiny", "--seconds", "2.5"])
    main(["bench", "--rounds", "3", "--threads", "4"])

    assert [options for _, options in asked] == [
        BenchOptions(2.5, 21, None),
        BenchOptions(8.0, 3, 4),
    ]


def test_profiles_are_printed_for_each_model(asked, capsys):
    main(["bench", "--profile"])

    out = capsys.readouterr().out
    assert out.count("slowest nodes") == 2
    assert "75.0%" in out


def test_json_is_all_that_is_printed(asked, capsys):
    main(["bench", "--json"])
    short = json.loads(capsys.readouterr().out)
    main(["bench", "--json", "--profile"])
    whole = json.loads(capsys.readouterr().out)

    assert short["schema"] == "espressivo.bench/1"
    assert [model["name"] for model in short["models"]] == ["small", "large"]
    assert whole["models"][0]["operators"][0]["operator"] == "MatMul"


def test_the_figure_is_drawn(asked, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")

    assert main(["bench", "--plot", str(tmp_path / "costs.png")]) == 0

    assert (tmp_path / "costs.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--rounds", "0"], "'0' is not a whole number above 0"),
        (["--threads", "-1"], "'-1' is not a whole number above 0"),
        (["--seconds", "0"], "'0' is not seconds from 0.01 to 3600"),
        (["--seconds", "nan"], "'nan' is not seconds"),
        (["--seconds", "long"], "'long' is not seconds"),
    ],
)
def test_a_wrong_command_line_exits_2(wrong, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *wrong])

    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: is neither a folder nor a bundled model"),
        (["--plot", "figure.gif"], "figure.gif: a figure is one of .png, .svg"),
        (["--plot", "no/where.png"], "there is no folder no; make it"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_measured(
    arguments, message, asked, capsys
):
    assert main(["bench", *arguments]) == 1

    out, err = capsys.readouterr()
    assert (out, asked) == ("", [])
    assert message in err
    assert err.count("\n") == 1


def test_ctrl_c_exits_130_and_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "espressivo", "bench", "--rounds", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert err.decode().strip() == "interrupted"
    assert list(tmp_path.iterdir()) == []
