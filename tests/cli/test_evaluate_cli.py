from __future__ import annotations

import json
import shutil

import numpy as np
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
    assert "- only 4 speakers, so intervals are too narrow and p too small." in out
    assert err == ""


def test_emotions_that_are_absent_are_dashes_and_are_said(calls, capsys):
    rows_ = [line for line in calls.read_text().splitlines() if "sad" not in line]
    calls.write_text("\n".join(rows_) + "\n")
    assert evaluate("manifest", calls) == 0
    out = capsys.readouterr().out
    assert "nan" not in out
    assert rows(out)["sadness:"][2] == "-,"
    assert "no utterance is labelled sadness, so UA is the mean of the other" in out


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
    assert "- espressivo-tiny was trained on ravdess: " in " ".join(out.split("\n"))

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


@pytest.fixture
def noise_folder(tmp_path):
    folder = tmp_path / "noise"
    folder.mkdir()
    for n in range(4):
        sound = np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32)
        encode(folder / f"{n}.wav", sound)
    return folder


def test_conditions_are_a_table_with_changes_from_clean(calls, noise_folder, capsys):
    code = evaluate(
        "manifest", calls, "--conditions", "telephone,noise-0", "--noise", noise_folder
    )
    assert code == 0
    out = capsys.readouterr().out
    assert "8 utterances, 4 speakers" in out
    assert list(rows(out))[2:] == ["UA", "clean", "telephone", "noise-0", "-"]
    assert "change" in out
    ua, _, ece = rows(out)["clean"]
    noisy = rows(out)["noise-0"]
    assert len(noisy) == 6  # UA, interval, change, interval, p, ECE
    assert float(noisy[2]) == pytest.approx(float(noisy[0]) - float(ua), abs=2e-3)
    assert 0 <= float(ece) <= 1


def test_a_matrix_of_corpora_is_resumed(calls, noise_folder, tmp_path, capsys):
    (tmp_path / "read").mkdir()
    for n in range(4):
        shutil.copy(calls.parent / f"{n}.wav", tmp_path / f"read/{n}-1-0000.wav")
    out, figure = tmp_path / "out", tmp_path / "matrix.svg"
    args = ["--corpus", f"manifest={calls}", "--corpus", f"librispeech={tmp_path}/read"]
    args += ["--speakers", "librispeech=odd", "--noise", noise_folder, "--out", out]
    args += ["--conditions", "room,babble-10"]
    assert evaluate(*args, "--json", "--plot", figure) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain == json.loads((out / "conditions.json").read_text())
    assert plain["schema"] == "espressivo.conditions/1"
    assert plain["corpora"]["librispeech"]["emotions"] == ["neutral"]
    assert plain["corpora"]["librispeech"]["n_speakers"] == 2
    room = plain["corpora"]["manifest"]["conditions"]["room"]
    assert room["change_interval"][0] <= room["change"] <= room["change_interval"][1]
    for corpus in ("manifest", "librispeech"):
        for name in ("clean", "room", "babble-10"):
            scores = json.loads((out / corpus / name / "scores.json").read_text())
            assert scores["condition"] == name
            assert scores["scores"]["ua"] == pytest.approx(
                plain["corpora"][corpus]["conditions"][name]["ua"]
            )
    assert "babble-10" in figure.read_text()

    # A finished evaluation is read, an unfinished one is done again.
    kept = (out / "manifest/room/predictions.parquet").stat().st_mtime_ns
    lost = out / "manifest/babble-10/scores.json"
    lost.unlink()
    assert evaluate(*args) == 0
    table = capsys.readouterr().out
    assert lost.is_file()
    assert (out / "manifest/room/predictions.parquet").stat().st_mtime_ns == kept
    assert json.loads((out / "conditions.json").read_text()) == plain
    assert "called neutral" in table
    assert "UA in %, and its change from clean in points" in table

    # Other recordings are another evaluation.
    args[args.index("librispeech=odd")] = "librispeech=even"
    assert evaluate(*args) == 1
    err = capsys.readouterr().err
    assert "librispeech/clean: holds the evaluation of another set of recordings" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["manifest", "calls.csv", "--conditions", "fax"],
            "there is no condition 'fax'",
        ),
        (["--conditions", "emodb", "x"], "there is no condition 'emodb'"),
        (["manifest", "x.csv", "--speakers", "half"], "'half' is not even, odd or all"),
    ],
)
def test_wrong_options_are_named(args, message, capsys):
    with pytest.raises(SystemExit):
        evaluate(*args)
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "which corpus? Pass CORPUS DIR"),
        (["emodb"], "where is emodb? Pass CORPUS DIR"),
        (["emodb", "x", "--corpus", "tess=y"], "several corpora are for --conditions"),
        (
            ["--corpus", "manifest=x", "--corpus", "manifest=y", "--conditions"],
            "--corpus names a corpus twice",
        ),
        (["emodb", "x", "--speakers", "tess=odd"], "tess is not one of emodb"),
        (
            ["emodb", "x", "--against", "z", "--conditions"],
            "--against compares two evaluations in one condition",
        ),
    ],
)
def test_what_does_not_go_together_is_told(args, message, capsys):
    assert evaluate(*args) == 1
    assert message in capsys.readouterr().err


def test_without_noise_recordings_nothing_is_evaluated(
    calls, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("ESPRESSIVO_DATA", str(tmp_path / "nowhere"))
    assert evaluate("manifest", calls, "--conditions", "noise-5") == 1
    assert "nowhere/noise: holds 0 noise recordings" in capsys.readouterr().err
    assert evaluate("manifest", calls, "--conditions", "quiet", "--json") == 0


def test_a_matrix_without_any_speech_is_written_and_read(calls, note, tmp_path, capsys):
    for n in range(8):
        encode(calls.parent / f"{n}.wav", 0 * note[:32_000])
    args = ["manifest", calls, "--pipeline", "--conditions", "quiet"]
    args += ["--out", tmp_path / "out", "--json"]
    assert evaluate(*args) == 0
    written = capsys.readouterr().out
    (found,) = json.loads(written)["corpora"].values()
    assert found["conditions"]["quiet"]["ua"] is None
    assert found["conditions"]["quiet"]["n_without_speech"] == 8
    assert evaluate(*args) == 0
    assert capsys.readouterr().out == written


def test_halves_of_the_speakers_are_scored(calls, capsys):
    found = []
    for half in ("even", "odd"):
        assert evaluate("manifest", calls, "--speakers", half, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [plain["n_speakers"] for plain in found] == [2, 2]
    assert [plain["n_utterances"] for plain in found] == [4, 4]
