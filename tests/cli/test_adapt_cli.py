"""`espressivo adapt`, and what `analyze` and `profile` do with a setting."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from espressivo.cli.main import main
from espressivo.model.find import DEFAULT, find_model
from espressivo.profile.profile import Kind, Profile
from tests.conftest import NOTE
from tests.recordings import encode
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder of profiles of one's own."""
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "profiles"))
    return tmp_path / "profiles"


@pytest.fixture
def calls(tmp_path, note):
    """Three recordings in a folder and its subfolder, [0] the longest."""
    (tmp_path / "calls" / "late").mkdir(parents=True)
    for name, start, end in (
        ("a.wav", 0, 392_000),
        ("b.wav", 110_000, 270_000),
        ("late/c.wav", 190_000, 300_000),
    ):
        encode(tmp_path / "calls" / name, note[start:end])
    return tmp_path / "calls"


def run(*words):
    return main([str(word) for word in words])


def test_a_setting_from_creation_to_deletion(calls, capsys, folder):
    assert run("adapt", "hotline", "--from", calls) == 0
    made = capsys.readouterr().out
    assert "of 3 recordings" in made
    assert "% known: " in made
    assert " (unknown settings: ± " in made

    setting = Profile.load("hotline")
    assert setting.kind is Kind.SETTING
    assert setting.statistics.n_recordings == 3
    assert 2.5 < setting.statistics.weight <= 3  # each recording counts once
    assert run("profile", "list") == 0
    assert capsys.readouterr().out.startswith("hotline: setting, ")
    assert run("profile", "show", "hotline") == 0
    shown = capsys.readouterr().out
    assert "  setting     hotline" in shown
    assert made.splitlines()[1].strip() in shown
    assert run("analyze", NOTE, "--setting", "hotline") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "adapted to setting 'hotline' by 0:" in text
    assert run("profile", "delete", "hotline") == 0
    assert not (folder / "hotline.json").exists()


def test_folder_pattern_and_manifest_are_one_setting(calls, tmp_path, capsys):
    manifest = tmp_path / "calls.csv"
    names = ["late/c.wav", "a.wav", "b.wav"]
    rows = "".join(f"{i},calls/{name}\n" for i, name in enumerate(names))
    manifest.write_text(f"id,path\n{rows}")

    groups = tmp_path / "groups.csv"
    rows = "".join(f"{i},calls/{name},g{i % 2}\n" for i, name in enumerate(names))
    groups.write_text(f"id,path,group\n{rows}")

    for name, source, options in (
        ("one", calls, ("--threads", 1)),
        ("two", f"{calls}/**/*.wav", ("--threads", 3)),
        ("three", manifest, ()),
        ("four", groups, ()),
    ):
        assert run("adapt", name, "--from", source, *options) == 0
        told = "one setting is made of all 2 groups" in capsys.readouterr().err
        assert told == (source == groups)

    names = ("one", "two", "three", "four")
    one, *others = (Profile.load(name).statistics for name in names)
    for other in others:
        assert other.n_samples == one.n_samples
        np.testing.assert_array_equal(other.cells, one.cells)
        for part in ("weights", "sums", "mean", "scatter"):
            np.testing.assert_allclose(
                getattr(other, part), getattr(one, part), atol=1e-9
            )


def test_setting_speaker_and_recording_work_together(calls, capsys):
    run("adapt", "hotline", "--from", calls)
    run("profile", "create", "me", calls / "b.wav")
    capsys.readouterr()

    options = ("--setting", "hotline", "--speaker", "me", "--adapt", "--json")
    assert run("analyze", NOTE, NOTE, *options) == 0

    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    for report in (first, second):
        found = report["adaptation"]
        assert (found["setting"], found["speaker"]) == ("hotline", "me")
        assert found["recording"] is True
        assert 0 < found["weight"] < 1
        assert found["deviation"] < found["prior_deviation"]
    # The profile has learned from the first, and the setting stays.
    assert (
        second["adaptation"]["n_recordings"] == first["adaptation"]["n_recordings"] + 1
    )
    assert Profile.load("hotline").statistics.n_recordings == 3


def test_a_long_recording_is_judged_as_one_voice(capsys):
    assert run("analyze", NOTE, "--adapt") == 0
    text = " ".join(capsys.readouterr().out.split())

    assert "adapted to itself by 0:20.3 of speech " in text
    assert "% of the probability moved, without it " in text
    assert text.endswith("% known")


def test_broken_and_silent_recordings_cost_only_themselves(calls, capsys):
    (calls / "broken.wav").write_text("hello")
    (calls / "notes.txt").write_text("not a recording")
    encode(calls / "silence.wav", np.zeros(64_000, np.float32))

    assert run("adapt", "hotline", "--from", calls) == 3

    out, err = capsys.readouterr()
    assert "of 3 recordings (1 without speech, 1 failed)" in out
    assert "broken.wav" in err
    assert "silence.wav: no speech found, nothing learned" in err
    assert "left out: " in err


def test_without_any_speech_there_is_no_setting(tmp_path, capsys, folder):
    (tmp_path / "calls").mkdir()
    encode(tmp_path / "calls" / "silence.wav", np.zeros(64_000, np.float32))

    assert run("adapt", "hotline", "--from", tmp_path / "calls") == 1

    assert "holds no recording with speech" in capsys.readouterr().err
    assert not (folder / "hotline.json").exists()


def test_a_setting_is_replaced_only_on_request(calls, capsys, folder):
    run("adapt", "hotline", "--from", calls)
    before = (folder / "hotline.json").read_bytes()
    capsys.readouterr()

    assert run("adapt", "hotline", "--from", calls / "late") == 1
    err = capsys.readouterr().err
    assert "hotline.json: exists; " in err
    assert "--replace" in err
    assert (folder / "hotline.json").read_bytes() == before
    assert run("adapt", "hotline", "--from", calls / "late", "--replace") == 0
    assert Profile.load("hotline").statistics.n_recordings == 1
    run("profile", "create", "me")
    assert run("adapt", "me", "--from", calls, "--replace") == 1
    assert "is the profile of a speaker, not of a setting" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_the_analysis(tmp_path, capsys):
    (tmp_path / "file").touch()

    assert run("adapt", tmp_path / "file" / "me.json", "--from", "nowhere") == 1

    assert "cannot be written" in capsys.readouterr().err


def test_a_setting_learns_more_recordings_each_counting_once(calls):
    run("adapt", "hotline", "--from", calls / "late")
    before = Profile.load("hotline").statistics

    assert run("profile", "update", "hotline", calls / "a.wav") == 0

    after = Profile.load("hotline").statistics
    assert after.n_recordings == 2
    assert 0.5 < after.weight - before.weight <= 1


def test_speakers_and_settings_are_not_mixed_up(calls, capsys):
    run("adapt", "hotline", "--from", calls)
    run("profile", "create", "me", NOTE)
    capsys.readouterr()

    for words, message in (
        (("analyze", NOTE, "--speaker", "hotline"), "pass it with --setting"),
        (("analyze", NOTE, "--setting", "me"), "pass it with --speaker"),
        (("profile", "merge", "me", "hotline"), "merge profiles of one kind"),
    ):
        assert run(*words) == 1
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [("nowhere", "nowhere"), ("empty", "holds no recording"), ("*.wav", "*.wav")],
)
def test_what_holds_no_recording_is_refused(
    source, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    assert run("adapt", "hotline", "--from", source) == 1

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_model_that_cannot_adapt_says_so(calls, tmp_path, capsys):
    plain = shutil.copytree(find_model(DEFAULT), tmp_path / "model")
    card = json.loads((plain / "model.json").read_text())
    del card["adaptation"]
    (plain / "model.json").write_text(json.dumps(card))

    for words in (
        ("adapt", "hotline", "--from", calls),
        ("analyze", NOTE, "--adapt"),
        ("profile", "create", "me"),
    ):
        assert run(*words, "--model", plain) == 1
        assert "cannot adapt to a speaker, a setting or" in capsys.readouterr().err
    assert run("analyze", NOTE, "--model", plain) == 0


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupt_leaves_nothing(calls, folder, note):
    encode(calls / "long.wav", np.tile(note, 40))
    (calls / "notes.txt").write_text("not a recording")
    command = [sys.executable, "-m", "espressivo", "adapt", "x", "--from", calls]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("left out: ")  # it begins now

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, err) == (130, "interrupted\n")
    assert not [*folder.glob("*.json")]
