from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import numpy as np
import pytest

from espressivo.cli.arguments import speech_options
from espressivo.cli.main import build_parser, main
from espressivo.cli.recordings import listed
from espressivo.speech.segments import SpeechOptions
from tests.conftest import NOTE
from tests.recordings import encode
from tests.test_report import SCHEMA_FILE


def test_the_timeline_shows_when_and_what(capsys):
    assert main(["analyze", str(NOTE)]) == 0

    out, err = capsys.readouterr()
    assert "0:24.5 long" in out
    assert out.count(" - 0:") == 4
    assert "whole recording" in out
    assert err == ""


def test_json_equals_the_python_report(analyzer, capsys):
    assert main(["analyze", "--json", str(NOTE)]) == 0

    assert json.loads(capsys.readouterr().out) == analyzer.analyze(NOTE).to_dict()


def test_several_recordings_as_json_lines_and_as_one_csv(capsys):
    main(["analyze", "--json", str(NOTE), str(NOTE)])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    main(["analyze", "--csv", str(NOTE), str(NOTE)])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert first == second
    assert len(rows) == 2 * (1 + len(first["windows"]))


def test_a_broken_recording_costs_a_line_and_nothing_else(tmp_path, capsys):
    text = tmp_path / "text.wav"
    text.write_text("hello\n" * 100)
    missing = tmp_path / "missing.wav"

    code = main(["analyze", "--json", str(missing), str(NOTE), str(text)])

    out, err = capsys.readouterr()
    assert code == 3
    assert json.loads(out)["recording"] == str(NOTE)
    lines = err.splitlines()
    assert len(lines) == 3
    assert "missing.wav: no such file" in lines[0]
    assert lines[1].startswith(str(text))
    assert lines[2] == "2 of 3 recordings failed"


def test_only_broken_recordings_exit_1(tmp_path, capsys):
    assert main(["analyze", str(tmp_path / "none.wav")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_a_folder_is_the_recordings_in_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silence = np.zeros(8000, np.float32)
    (tmp_path / "calls" / "deep").mkdir(parents=True)
    (tmp_path / "calls" / "out").mkdir()
    names = "calls/b.wav", "calls/deep/a.wav", "calls/b.flac", "one.wav"
    for name in (*names, "calls/out/c.wav"):  # beside the results, a recording still
        encode(tmp_path / name, silence)
    (tmp_path / "calls" / "notes.txt").write_text("no recording")
    (tmp_path / "calls" / "loop").symlink_to(tmp_path / "calls")
    named = ["one.wav", "calls/b.wav"]

    code = main(["analyze", "--csv", "calls", *named, "--output-dir", "calls/out"])

    out, err = capsys.readouterr()
    assert code == 0
    found = [row["recording"] for row in csv.DictReader(io.StringIO(out))]
    assert found == ["calls/b.flac", "calls/deep/a.wav", "calls/out/c.wav", *named]
    assert "calls: left out: 1 link to a folder, such as loop; 1 text, such as" in err
    files = sorted(path.name for path in (tmp_path / "calls/out").iterdir())
    told = ["a.json", "b.flac.json", "b.wav.json", "c.json", "c.wav", "one.json"]
    assert files == told
    main(["analyze", "--csv", *found])
    assert capsys.readouterr().out == out
    (tmp_path / "one.wav").rename("calls/out/-")
    monkeypatch.chdir("calls/out")
    assert listed(["."]) == ["./-", "c.wav"]


def test_a_folder_without_recordings_is_an_error_and_many_point_to_archive(
    tmp_path, capsys
):
    (tmp_path / "x.txt").write_text("hello")

    assert main(["analyze", str(NOTE), str(tmp_path)]) == 3
    assert "holds no recording (left out: 1 text" in capsys.readouterr().err
    assert main(["analyze", str(tmp_path)]) == 1
    assert "holds no recording (left out: 1 text" in capsys.readouterr().err
    for i in range(1001):
        (tmp_path / f"{i}.wav").touch()
    assert len(listed([str(tmp_path)])) == 1001
    assert "1,001 recordings; `espressivo archive`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["analyze x", "listen -", "archive in --out out"])
def test_settings_of_the_detection(command, capsys):
    def options(text=""):
        return speech_options(build_parser().parse_args(f"{command} {text}".split()))

    assert options() == SpeechOptions()
    assert options("--speech-threshold 0.1 --min-speech 1 --min-pause .1") == (
        SpeechOptions(0.1, 0.01, 1, 0.1, 0.05)  # at 0, no segment would end
    )
    assert options("--speech-threshold 1e-3") == SpeechOptions(0.001, 0.001)
    for wrong, told in (
        ("--speech-padding 0.2", "is 0.2; wanted at most half of --min-pause (0.192)"),
        ("--min-speech nan", "'nan' is not a number of seconds"),
        ("--speech-threshold 2", "'2' is not a share between 0 and 1"),
    ):
        with pytest.raises(SystemExit):
            options(wrong)
        assert told in capsys.readouterr().err


def test_other_settings_of_the_detection_are_in_the_report(capsys):
    main(["analyze", "--json", str(NOTE), "--min-pause", "2"])

    report = json.loads(capsys.readouterr().out)
    assert report["detection"]["min_pause_s"] == 2
    assert len(report["segments"]) == 1
    jsonschema.validate(report, json.loads(SCHEMA_FILE.read_text("utf-8")))


def test_no_speech_exits_0_and_says_so(tmp_path, capsys):
    silence = encode(tmp_path / "silence.wav", np.zeros(48_000, np.float32))

    assert main(["analyze", str(silence)]) == 0
    assert "no speech found" in capsys.readouterr().out


def test_a_name_with_brackets_is_not_markup(tmp_path, capsys):
    silence = encode(tmp_path / "[red]a[bold].wav", np.zeros(48_000, np.float32))

    assert main(["analyze", str(silence)]) == 0
    assert "[red]a[bold].wav" in capsys.readouterr().out.replace("\n", "")


def test_an_unknown_model_exits_1(capsys):
    assert main(["analyze", "--model", "none", str(NOTE)]) == 1
    assert "neither a folder nor a bundled model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["analyze"],
        ["analyze", "--json", "--csv", "x"],
        ["analyze", "--threads", "0", "x"],
        ["nonsense"],
    ],
)
def test_a_wrong_command_line_exits_2(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(argv)

    assert exit_.value.code == 2
    assert "usage: espressivo" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "analyze a --speaker me b c --json",
        "analyze --json a b --speaker=me c",
        "analyze --json --speaker me -- a b c",
        "profile create me --model tiny a b c",
        "profile update me a --model tiny b c",
    ],
)
def test_recordings_can_follow_options(line):
    args = build_parser().parse_args(line.split())

    assert args.recordings == ["a", "b", "c"]
    assert "me" in (getattr(args, "name", None), getattr(args, "speaker", None))
    assert args.model == "tiny" or args.json


@pytest.mark.parametrize("rest", ["--colour b", "--track x b", "--json b --csv"])
def test_options_between_recordings_are_checked(rest, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["analyze", "a", *rest.split()])

    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_the_csv_tells_what_adaptation_changed(capsys):
    main(["analyze", str(NOTE), "--csv"])
    plain = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    main(["analyze", str(NOTE), "--csv", "--adapt"])
    adapted = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    emotions = ("anger", "happiness", "neutral", "sadness")
    for before, now in zip(plain, adapted, strict=True):
        assert before.keys() == now.keys()
        assert before["emotion_without"] == before["change"] == ""
        assert now["emotion_without"] == before["emotion"]
        apart = sum(abs(float(now[e]) - float(before[e])) for e in emotions) / 2
        assert float(now["change"]) == pytest.approx(apart, abs=2e-4)
        assert apart > 0


def test_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    path = tmp_path / "timeline.png"

    assert main(["analyze", str(NOTE), "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert main(["analyze", str(NOTE), "--plot", str(tmp_path / "x.doc")]) == 1
    assert "a figure is one of" in capsys.readouterr().err


def run(*argv, **options):
    return subprocess.run(
        [sys.executable, "-m", "espressivo", *argv],
        capture_output=True,
        check=False,
        **options,
    )


def test_stdin_is_a_recording(analyzer):
    done = run("analyze", "--json", "-", input=NOTE.read_bytes())

    document = json.loads(done.stdout)
    assert document["recording"] == "stdin"
    assert document["windows"] == analyzer.analyze(NOTE).to_dict()["windows"]


def test_a_reader_that_stops_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "espressivo", "analyze", str(NOTE)],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert b"Traceback" not in done.stderr


def test_ctrl_c_exits_130_without_a_traceback(tmp_path, note):
    path = encode(tmp_path / "long.wav", np.tile(note, 150))  # an hour
    process = subprocess.Popen(
        [sys.executable, "-m", "espressivo", "analyze", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert err.decode().strip() == "interrupted"


def test_models_are_listed_shown_and_verified(capsys):
    assert main(["models"]) == 0
    assert "espressivo-tiny" in capsys.readouterr().out
    assert main(["models", "show", "espressivo-tiny"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "espressivo-tiny"
    assert main(["models", "verify", "espressivo-tiny"]) == 0
    assert "intact" in capsys.readouterr().out
