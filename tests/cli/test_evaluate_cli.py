from __future__ import annotations

import json

import pytest

from espressivo.cli.main import main
from espressivo.types import Emotion
from tests.recordings import encode


@pytest.fixture
def calls(tmp_path, note):
    """Eight pieces of the example, labelled anyhow, as a manifest."""
    lines = ["path,emotion,speaker"]
    for n in range(8):
        encode(tmp_path / f"{n}.wav", note[n * 32_000 : n * 32_000 + 40_000])
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},speaker-{n // 2}")
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def evaluate(*args):
    return main(["evaluate", "espressivo-tiny", *map(str, args)])


def rows(out):
    """First word of each line -> the other words."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}


def test_tables_show_scores_and_confusion(calls, capsys):
    assert evaluate("manifest", calls) == 0
    out, err = capsys.readouterr()
    assert rows(out)["utterances"] == ["8"]
    assert rows(out)["speakers"] == ["4"]
    for text in ("WA ", "UA ", "ECE ", "sadness: recall, F1"):
        assert text in out
    assert "actual \\ predicted" in out
    assert err == ""


def test_json_out_plot_and_comparison(calls, tmp_path, capsys):
    out, figure = tmp_path / "out", tmp_path / "confusion.png"
    assert evaluate("manifest", calls, "--json", "--out", out, "--plot", figure) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain == json.loads((out / "scores.json").read_text())
    assert (out / "predictions.parquet").is_file()
    assert figure.is_file()

    assert evaluate("manifest", calls, "--json", "--against", out) == 0
    against = json.loads(capsys.readouterr().out)["against"]
    assert against["ua"]["difference"] == 0
    assert against["ua"]["p"] == 1


def test_a_broken_recording_exits_3_and_is_named(calls, capsys):
    (calls.parent / "3.wav").write_text("not audio")
    assert evaluate("manifest", calls) == 3
    out, err = capsys.readouterr()
    assert rows(out)["utterances"] == ["7"]
    first, last = err.splitlines()
    assert "3.wav: cannot be read as a recording" in first
    assert last == "1 of 8 recordings could not be read; they are not scored"


def test_only_broken_recordings_exit_1(calls, capsys):
    for n in range(8):
        (calls.parent / f"{n}.wav").write_text("not audio")
    assert evaluate("manifest", calls) == 1
    assert "nothing to score" in capsys.readouterr().err


def test_ravdess_is_scored_with_and_without_calm(shared, tmp_path, capsys):
    (tmp_path / "Actor_01").symlink_to((shared / "corpora/ravdess/Actor_01").resolve())
    (tmp_path / "Actor_02").symlink_to((shared / "corpora/ravdess/Actor_02").resolve())

    assert evaluate("ravdess", tmp_path) == 0
    out = capsys.readouterr().out
    assert "calm as neutral" in out
    assert "without calm" in out
    assert rows(out)["utterances"] == ["72", "56"]
    assert rows(out)["speakers"] == ["2", "2"]

    assert evaluate("ravdess", tmp_path, "--without-calm", "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_utterances"] == 56


def test_the_pipeline_names_what_holds_no_speech(calls, note, capsys):
    encode(calls.parent / "3.wav", 0 * note[:32_000])
    assert evaluate("manifest", calls, "--pipeline") == 0
    out = capsys.readouterr().out
    assert "(pipeline)" in out
    assert "no speech found, not scored: " in out
    assert "calls/3.wav" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["absent", "emodb", "."], "absent: is neither a folder nor a bundled model"),
        (["espressivo-tiny", "emo", "."], "corpus 'emo' is unknown"),
        (
            ["espressivo-tiny", "emodb", ".", "--plot", "figure.xyz"],
            "figure.xyz: a figure is one of .png",
        ),
        (
            ["espressivo-tiny", "emodb", ".", "--out", "/dev/null/x"],
            "/dev/null/x: cannot be made a folder",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_and_exit_1(args, message, capsys):
    assert main(["evaluate", *args]) == 1
    assert capsys.readouterr().err.startswith(message)
