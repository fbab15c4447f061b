"""`analyze --output-dir` and `--channels separate`: files, their names and content."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo import captions
from espressivo.cli.main import main
from espressivo.cli.report_files import SUFFIXES, name_recordings
from tests.conftest import NOTE
from tests.odd_recordings import Track, write


@pytest.fixture
def call(note, tmp_path):
    """A call of 4 s: one speaks in the left channel, nobody in the right one."""
    left = note[:64_000]
    return write(tmp_path / "call.wav", Track(np.stack([left, 0 * left]), "s16"))


def test_every_format_is_the_one_of_the_library(analyzer, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    out = tmp_path / "new" / "out"
    out.mkdir(parents=True)
    (out / "voice-note.json").write_text("an earlier one")

    formats = [
        "--format",
        "json,csv,png,html",
        "--format",
        "srt, VTT,textgrid,audacity",
    ]
    assert main(["analyze", str(NOTE), "--output-dir", str(out), *formats]) == 0
    assert "written: 8 files in" in capsys.readouterr().out

    report = analyzer.analyze(NOTE, name=str(NOTE))
    assert {p.name for p in out.iterdir()} == {
        f"voice-note{suffix}" for suffix in SUFFIXES.values()
    }
    text = {
        form: (out / f"voice-note{suffix}").read_bytes()
        for form, suffix in SUFFIXES.items()
    }
    assert json.loads(text["json"]) == report.to_dict()
    assert text["csv"].decode() == report.to_csv()
    assert text["html"].startswith(b"<!doctype html>")
    assert str(NOTE.parent).encode() not in text["html"]  # pages are passed on
    assert text["png"].startswith(b"\x89PNG")
    for form in ("srt", "vtt", "textgrid", "audacity"):
        assert text[form].decode() == getattr(captions, f"to_{form}")(report)


def test_channels_have_a_file_each_and_no_other_recordings(call, tmp_path, capsys):
    namesake = tmp_path / "call.left.wav"
    namesake.write_bytes(NOTE.read_bytes())
    out = tmp_path / "out"

    argv = ["analyze", str(call), str(namesake), "--channels", "separate", "--json"]
    assert main([*argv, "--output-dir", str(out)]) == 0

    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["call.left.json", "call.right.json", "call.left-2.json"]
    assert [json.loads((out / name).read_text("utf-8")) for name in names] == shown
    assert sorted(names) == sorted(path.name for path in out.iterdir())
    assert [d["channels"] for d in shown] == ["left", "right", "mono"]
    assert [d["emotion"] is None for d in shown] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--format srt", "name their folder with --output-dir"),
        ("--output-dir out --format srt,pdf", "'pdf' is none of json, csv"),
        ("--channels separate --speaker me", "add --no-update"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_analysis(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["analyze", str(NOTE), *options.split()])

    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "x").touch()

    assert main(["analyze", str(NOTE), "--output-dir", str(tmp_path / "x")]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err


def test_long_names_are_cut_and_stay_distinct(tmp_path, capsys):
    # 255 bytes each, as long as a name can be.
    stems = [f"{'ä' * 124}{i}.." for i in "ab"]
    notes = [tmp_path / f"{stem}.wav" for stem in stems]
    for note in notes:
        write(note, Track(np.zeros(1600, np.float32), "s16"))
    out = tmp_path / "out"

    argv = ["analyze", *map(str, notes), "--output-dir", str(out)]
    assert main([*argv, "--format", "json,audacity"]) == 0

    written = [json.loads(path.read_bytes()) for path in out.glob("*.json")]
    assert {each["recording"] for each in written} == {*map(str, notes)}
    assert len([*out.glob("*.labels.txt")]) == 2


def test_a_file_that_cannot_be_written_stops_no_other(tmp_path, capsys):
    out = tmp_path / "out"
    (out / "a.json").mkdir(parents=True)
    for name in "ab":
        write(tmp_path / f"{name}.wav", Track(np.zeros(1600, np.float32), "s16"))

    notes = [str(tmp_path / f"{name}.wav") for name in "ab"]
    assert main(["analyze", *notes, "--json", "--output-dir", str(out)]) == 3

    shown = capsys.readouterr()
    assert shown.err.startswith(f"{out / 'a.json'}: cannot be written (is a directory)")
    assert [json.loads(line)["recording"] for line in shown.out.splitlines()] == notes
    assert (out / "b.json").is_file()


PARTS = st.sampled_from(["a", "A", "b", "a-b", "note", "note.wav", "a.b", "stdin"])
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=1)


@given(PATHS.map(lambda paths: [*paths, "-"]))
def test_names_are_distinct_as_recordings_are(recordings):
    names = name_recordings(recordings)

    assert list(names) == list(dict.fromkeys(recordings))
    files = {os.path.normpath(each) if each != "-" else "-" for each in recordings}
    assert len({name.casefold() for name in names.values()}) == len(files)
    assert not any("/" in name for name in names.values())


def test_a_name_is_as_short_as_it_can_be():
    names = name_recordings(
        ["x/note.m4a", "a/call.wav", "b/call.wav", "x/y.ogg", "x/y.wav"]
    )

    assert [*names.values()] == ["note", "a-call", "b-call", "y.ogg", "y.wav"]
