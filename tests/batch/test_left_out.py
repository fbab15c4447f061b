"""What an archive keeps of its search: the list of what is left out, and the plan."""

from __future__ import annotations

import json

import pytest

from espressivo.batch import ArchiveOptions, analyze_archive, read_summary
from espressivo.cli.main import main
from espressivo.errors import ArchiveError, AudioError
from tests.archives import contents, rows
from tests.audio.test_headerless import encode_headerless
from tests.recordings import encode

ONE = ArchiveOptions(workers=1)


@pytest.fixture
def notes(tmp_path, note):
    folder = tmp_path / "notes"
    (folder / "days").mkdir(parents=True)
    encode(folder / "a.wav", note[:48_000])
    encode(folder / "x.mp3", note[:48_000]).rename(folder / "days" / "b")
    for i in range(5):
        (folder / f"{i}.txt").write_text("no recording")
    (folder / "days" / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(9))
    (folder / ".x").touch()
    return folder


def listed(out):
    from pyarrow import parquet

    return parquet.read_table(out / "left-out.parquet").to_pylist()


def test_what_is_left_out_is_counted_listed_and_printed(notes, tmp_path, capsys):
    out = tmp_path / "out"
    summary = analyze_archive(notes, out, options=ONE)

    assert [row["id"] for row in rows(out, "recordings")] == ["a.wav", "days/b"]
    assert summary.left_out == {"text": 5, "hidden": 1, "picture": 1}
    assert summary.left_out_examples["text"] == ["0.txt", "1.txt", "2.txt"]
    assert listed(out)[0] == {"path": ".x", "kind": "hidden"}
    assert [row["path"] for row in listed(out)][-1] == "days/cover.jpg"

    assert main(["archive", str(notes), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"7 left out as no recordings, listed in {out}/left-out.parquet:" in text
    assert "        5  text (0.txt, 1.txt, 2.txt, ...)\n" in text
    assert "        1  picture (days/cover.jpg)\n" in text


def test_a_resumed_archive_lists_what_is_left_out_now(notes, tmp_path):
    out = tmp_path / "out"
    analyze_archive(notes, out, options=ONE)
    before = contents(out)
    (notes / "more.txt").write_text("no recording")

    assert analyze_archive(notes, out, options=ONE).left_out["text"] == 6
    (notes / "more.txt").unlink()
    analyze_archive(notes, out, options=ONE)

    assert contents(out) == before


def as_begun_before(out):
    """Make the plan one of the version that searched by ending, as it wrote it."""
    plan = json.loads((out / "archive.json").read_text())
    del plan["input"]["listed_by"]
    del plan["options"]["format"]
    (out / "archive.json").write_text(json.dumps(plan))
    (out / "left-out.parquet").unlink()


def test_an_archive_of_the_version_before_goes_on_if_it_finds_the_same(notes, tmp_path):
    (notes / "days" / "b").unlink()
    out = tmp_path / "out"
    analyze_archive(notes, out, options=ONE)
    as_begun_before(out)
    assert read_summary(out).left_out == {}

    summary = analyze_archive(notes, out, options=ONE)

    assert (summary.n_analysed, summary.left_out["text"]) == (1, 5)


def test_an_archive_of_the_version_before_that_found_less_says_so(notes, tmp_path):
    out = tmp_path / "out"
    hidden = (notes / "days" / "b").rename(tmp_path / "b")
    analyze_archive(notes, out, options=ONE)
    as_begun_before(out)
    hidden.rename(notes / "days" / "b")

    message = r"the input is 2 .*, was 1 .*; folders are searched by content, were "
    with pytest.raises(ArchiveError, match=message):
        analyze_archive(notes, out, options=ONE)


def test_a_format_that_is_said_is_part_of_the_plan(tmp_path, note):
    folder, out = tmp_path / "calls", tmp_path / "out"
    folder.mkdir()
    encode_headerless(folder / "a.raw", note[:48_000], "pcm_alaw", "alaw", 8000)
    encode_headerless(folder / "b.ul", note[:48_000], "pcm_mulaw", "mulaw", 8000)
    encode(folder / "c.wav", note[:48_000])

    said = ArchiveOptions(workers=1, headerless="alaw")
    summary = analyze_archive(folder, out, options=said)

    assert summary.n_failed == 0
    durations = [row["duration_s"] for row in rows(out, "recordings")]
    assert durations == pytest.approx([3, 3, 3], abs=0.05)
    with pytest.raises(ArchiveError, match="format is that of each name, was alaw"):
        analyze_archive(folder, out, options=ONE)
    analyze_archive(folder, tmp_path / "other", options=ONE)
    (failure,) = rows(tmp_path / "other", "failures")
    assert failure["id"] == "a.raw"
    assert "pass the format of its samples with --headerless" in failure["reason"]


def test_a_format_that_makes_no_sense_is_refused_at_once(tmp_path, capsys):
    with pytest.raises(AudioError, match="none of the headerless formats"):
        ArchiveOptions(headerless="mp3")
    argv = ["archive", str(tmp_path), "--out", "x", "--headerless", "s16le"]
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "needs its rate in Hz" in capsys.readouterr().err
