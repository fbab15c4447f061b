from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from espressivo.analyzer import Analyzer
from espressivo.cli.main import main
from espressivo.model.find import DEFAULT
from espressivo.profile.profile import Profile
from tests.conftest import NOTE
from tests.recordings import encode


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder of profiles of one's own."""
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "profiles"))
    return tmp_path / "profiles"


def run(*words):
    return main([str(word) for word in words])


def heard(name="me"):
    voice = Profile.load(name).statistics
    return voice.n_recordings, voice.n_windows


def test_a_profile_from_creation_to_deletion(capsys, folder):
    assert run("profile", "create", "me") == 0
    assert "nothing heard yet" in capsys.readouterr().out
    assert run("profile", "update", "me", NOTE) == 0
    assert "4 windows of 1 recording" in capsys.readouterr().out
    assert run("profile", "show", "me") == 0
    shown = capsys.readouterr().out
    assert DEFAULT in shown
    assert "of speech, 4 windows of 1 recording" in shown
    assert "offset " in shown
    assert " from the average (unknown voices: ± " in shown
    assert len(shown.splitlines()[-1]) <= 80
    assert run("profile", "list") == 0
    assert capsys.readouterr().out.startswith("me: speaker, 0 min")
    assert run("profile", "delete", "me") == 0
    assert not (folder / "me.json").exists()
    assert run("profile") == 0
    assert "no profiles in" in capsys.readouterr().out


def test_analyze_uses_what_it_learned(capsys):
    run("profile", "create", "me")
    capsys.readouterr()

    assert run("analyze", NOTE, "--speaker", "me", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert heard() == (1, 4)
    assert run("analyze", NOTE, "--speaker", "me", "--json") == 0
    second = json.loads(capsys.readouterr().out)

    assert first["adaptation"]["n_windows"] == 0
    assert first["adaptation"]["change"] == 0
    assert second["adaptation"]["n_windows"] == 4
    assert second["adaptation"]["change"] > 0
    assert second["adaptation"]["probabilities_without"] == first["probabilities"]
    assert heard() == (2, 8)


def test_one_command_learns_from_each_recording_for_the_next(capsys):
    run("profile", "create", "me")
    capsys.readouterr()

    run("analyze", NOTE, NOTE, "--speaker", "me", "--json")

    lines = capsys.readouterr().out.splitlines()
    counts = [json.loads(line)["adaptation"]["n_windows"] for line in lines]
    assert counts == [0, 4]
    assert heard() == (2, 8)


def test_no_update_leaves_the_profile_as_it_is(capsys, folder):
    run("profile", "create", "me", NOTE)
    before = (folder / "me.json").read_bytes()
    capsys.readouterr()

    assert run("analyze", NOTE, "--speaker", "me", "--no-update") == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "adapted to speaker 'me' by 0:20.3 of speech " in shown
    assert "% of the probability moved, without it " in shown
    assert shown.endswith("% known")
    assert (folder / "me.json").read_bytes() == before
    with pytest.raises(SystemExit, match="2"):
        run("analyze", NOTE, "--no-update")


def test_the_order_of_recordings_does_not_matter(tmp_path, note):
    parts = [tmp_path / f"{n}.wav" for n in range(3)]
    for n, part in enumerate(parts):
        encode(part, note[n * 110_000 : n * 110_000 + 160_000])
    run("profile", "create", "a", *parts)
    run("profile", "create", "b", *reversed(parts))
    run("profile", "create", "c", parts[1])
    run("profile", "update", "c", parts[2], parts[0])
    run("profile", "create", "d", parts[1], parts[2])
    run("profile", "create", "e", parts[0])
    run("profile", "merge", "d", "e")

    a, *others = (Profile.load(name).statistics for name in "abcd")
    assert a.n_recordings == 3
    for voice in others:
        assert voice.n_windows == a.n_windows
        np.testing.assert_array_equal(voice.cells, a.cells)
        for part in ("weights", "sums", "mean", "scatter"):
            found, wanted = getattr(voice, part), getattr(a, part)
            np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_a_note_without_speech_leaves_the_profile_unchanged(tmp_path, capsys, folder):
    silence = tmp_path / "silence.wav"
    encode(silence, np.zeros(64_000, np.float32))
    run("profile", "create", "me", NOTE)
    before = (folder / "me.json").read_bytes()

    assert run("analyze", silence, "--speaker", "me") == 0
    assert run("profile", "update", "me", silence) == 1

    assert "no speech found, nothing learned" in capsys.readouterr().err
    assert (folder / "me.json").read_bytes() == before


def test_a_broken_recording_costs_only_itself(tmp_path, capsys):
    broken = tmp_path / "broken.wav"
    broken.write_text("hello")

    assert run("profile", "create", "me", broken, NOTE) == 3
    assert str(broken) in capsys.readouterr().err
    assert heard() == (1, 4)
    assert run("profile", "create", "you", broken) == 1
    assert run("profile", "show", "you") == 1


def test_another_voice_is_told_of_and_not_learned(shared, tmp_path, capsys):
    ravdess = shared / "corpora" / "ravdess"
    woman = sorted(ravdess.glob("**/03-01-0[1345]-*-02.*"))
    man = sorted(ravdess.glob("**/03-01-0[1345]-*-01.*"))
    run("profile", "create", "her", *woman[:20])
    before = heard("her")
    capsys.readouterr()

    assert run("analyze", man[4], "--speaker", "her") == 0

    err = capsys.readouterr().err
    assert "the voice does not fit profile 'her'" in err
    assert f"espressivo profile update her {man[4]}" in err
    assert heard("her") == before
    run("profile", "update", "her", man[4])
    assert heard("her") == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("analyze", NOTE, "--speaker", "me"), "there is no such profile; run: espr"),
        (("analyze", NOTE, "--speaker", "../me"), "no name for a profile"),
        (("profile", "update", "me", NOTE), "there is no such profile"),
        (("profile", "show", "me"), "there is no such profile"),
        (("profile", "delete", "me"), "nothing was deleted"),
        (("profile", "merge", "me", "you"), "there is no such profile"),
        (("profile", "merge", "me", "you", "me"), "would count twice"),
        (("analyze", NOTE, "--setting", "room"), "espressivo adapt room --from FOLDER"),
    ],
)
def test_who_has_no_profile_is_told_so(words, message, capsys):
    assert run(*words) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_profile_is_not_overwritten(capsys):
    run("profile", "create", "me", NOTE)

    assert run("profile", "create", "me", NOTE) == 1
    assert "exists; add to it" in capsys.readouterr().err
    assert heard() == (1, 4)


def test_a_profile_travels_as_a_file(tmp_path, capsys, folder):
    run("profile", "create", "me", NOTE)
    capsys.readouterr()
    run("profile", "show", "me", "--json")
    copy = tmp_path / "phone.json"
    copy.write_text(capsys.readouterr().out)

    assert run("analyze", NOTE, "--speaker", copy, "--json") == 0
    assert json.loads(capsys.readouterr().out)["adaptation"]["n_windows"] == 4
    assert (Profile.load(copy).statistics.n_windows, heard()) == (8, (1, 4))


def test_notes_analysed_at_once_are_all_learned():
    run("profile", "create", "me")
    command = [sys.executable, "-m", "espressivo", "analyze", NOTE, "--speaker", "me"]
    processes = [
        subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL)
        for _ in range(4)
    ]

    assert [process.wait() for process in processes] == [0] * 4
    assert heard() == (4, 16)


def test_a_profile_that_goes_away_costs_no_analysis(capsys, folder, monkeypatch):
    run("profile", "create", "me")
    capsys.readouterr()
    analyze = Analyzer.analyze

    def then_delete(self, *args, **options):
        (folder / "me.json").unlink(missing_ok=True)
        return analyze(self, *args, **options)

    monkeypatch.setattr(Analyzer, "analyze", then_delete)

    assert run("analyze", NOTE, NOTE, "--speaker", "me", "--json") == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.count("there is no such profile") == 2


def test_two_people_in_one_profile_are_told_of(shared, capsys):
    ravdess = shared / "corpora" / "ravdess"
    two = sorted(ravdess.glob("**/03-01-0[1345]-01-*-0[12].*"))
    assert len(two) >= 20

    assert run("profile", "create", "her", *two) == 0
    assert "profile 'her' is probably of several people" in capsys.readouterr().err
    assert run("profile", "show", "her") == 0
    assert "probably of several people" in capsys.readouterr().err
    assert run("analyze", two[0], "--speaker", "her", "--no-update") == 0
    assert "probably of several people" in capsys.readouterr().err
    one = [path for path in two if path.stem.endswith("02")]
    assert run("profile", "create", "woman", *one) == 0
    assert "several people" not in capsys.readouterr().err
