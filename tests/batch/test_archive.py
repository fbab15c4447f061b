from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from pyarrow import parquet

from espressivo import load_model
from espressivo.batch import (
    ArchiveOptions,
    analyze_archive,
    find_entries,
    read_summary,
)
from espressivo.batch.folder import opened
from espressivo.batch.plan import (
    Plan,
    Software,
    usual_shard_size,
)
from espressivo.batch.selection import SUFFIXES
from espressivo.batch.tables import columns_of_manifest
from espressivo.cli.main import main
from espressivo.errors import ArchiveError, ModelError
from espressivo.model.classifier import Certainty
from espressivo.speech.segments import SpeechOptions
from espressivo.types import Emotion
from tests.archives import KINDS, TABLES, contents, rows
from tests.conftest import ROOT

OPTIONS = ArchiveOptions(shard_size=4)


def test_tables_hold_what_analyze_says(analyzer, notes, whole):
    recordings, windows = rows(whole, "recordings"), iter(rows(whole, "windows"))

    for row in recordings:
        report = analyzer.analyze(row["path"], name=row["id"]).to_dict()
        for name in ("duration_s", "speech_s", "speech_share", "emotion", "uncertain"):
            assert row[name] == report[name]
        assert row["warnings"] == report["warnings"]
        probabilities = report["probabilities"] or dict.fromkeys(Emotion)
        assert {name: row[name] for name in probabilities} == probabilities
        assert row["model"] == report["model"]["name"]
        assert row["model_version"] == report["model"]["version"]
        assert row["model_sha256"] == report["model"]["sha256"]
        assert row["n_windows"] == len(report["windows"])
        for index, window in enumerate(report["windows"]):
            found = next(windows)
            assert (found.pop("id"), found.pop("index")) == (row["id"], index)
            values = window.pop("probabilities") | window.pop("dimensions")
            assert found == {**window, **values}
    assert next(windows, None) is None
    (silence,) = [row for row in recordings if row["id"] == "silence.wav"]
    assert silence["emotion"] is None
    assert silence["anger"] is None


def test_every_recording_is_in_one_table_once_and_in_order(notes, whole):
    ids = {table: [row["id"] for row in rows(whole, table)] for table in TABLES}

    assert ids["recordings"] == sorted(ids["recordings"])
    assert ids["windows"] == sorted(ids["windows"])
    assert {row["id"]: row["kind"] for row in rows(whole, "failures")} == KINDS
    everything = sorted(ids["recordings"] + ids["failures"])
    assert everything == [entry.id for entry in find_entries(notes)]
    for row in rows(whole, "failures"):
        assert row["reason"].startswith(f"{row['id']}: ")
        assert "\n" not in row["reason"]


def test_the_same_tables_whatever_the_number_of_workers(notes, whole, tmp_path):
    out = tmp_path / "out"

    summary = analyze_archive(
        notes, out, options=ArchiveOptions(shard_size=4, workers=1)
    )

    assert contents(out) == contents(whole)
    assert summary == read_summary(whole)


def test_the_summary_counts_the_tables(whole):
    summary, recordings = read_summary(whole), rows(whole, "recordings")

    assert summary.n_analysed == len(recordings)
    assert summary.n_failed == len(KINDS)
    assert summary.n_planned == len(recordings) + len(KINDS)
    assert summary.failures["unreadable"] == 3
    assert summary.n_with_speech == sum(
        row["emotion"] is not None for row in recordings
    )
    assert sum(map(summary.share_of, summary.emotions)) == pytest.approx(1)
    assert summary.duration_s == pytest.approx(sum(r["duration_s"] for r in recordings))


def test_uncertain_recordings_are_in_the_tables_and_counted(
    notes, tmp_path, judging_model, capsys
):
    out = tmp_path / "out"
    given = ["archive", str(notes), "--out", str(out), "--model", str(judging_model)]

    assert main(given) == 3
    text = capsys.readouterr().out

    threshold = load_model(judging_model).classifier.card.certainty.threshold
    spoken = [row for row in rows(out, "recordings") if row["emotion"]]
    for row in (*spoken, *rows(out, "windows")):
        top = max(row[emotion] for emotion in Emotion)
        assert row["uncertain"] is (top < threshold) or top == pytest.approx(threshold)
    n = sum(row["uncertain"] for row in spoken)
    assert 0 < n < len(spoken)
    summary = read_summary(out)
    assert summary.n_uncertain == n
    for emotion, n_of_it in summary.uncertain.items():
        found = [row["uncertain"] for row in spoken if row["emotion"] == emotion]
        assert n_of_it == sum(found)
    assert f"{n:,} of them ({n / len(spoken):.1%}) uncertain" in text
    (silence,) = [r for r in rows(out, "recordings") if r["id"] == "silence.wav"]
    assert silence["uncertain"] is None


def test_without_a_threshold_nothing_is_counted_as_uncertain(whole):
    certainty = Plan.from_json((whole / "archive.json").read_text()).certainty
    if certainty is not None:
        pytest.skip("the bundled model has a threshold")

    assert {row["uncertain"] for row in rows(whole, "windows")} == {None}
    assert read_summary(whole).n_uncertain is None


def test_another_threshold_of_the_same_graph_is_refused(notes, tmp_path):
    plan = Plan(9, "0", "a", "1", "2", (), 32, certainty=Certainty(0.5, 0.8))
    with opened(tmp_path, plan, restart=False):
        pass
    assert Plan.from_json((tmp_path / "archive.json").read_text()) == plan

    message = "the model's threshold of certainty is none, was 0.5; "
    with (
        pytest.raises(ArchiveError, match=message),
        opened(tmp_path, replace(plan, certainty=None), restart=False),
    ):
        pass


def test_an_archive_from_before_uncertainty_is_read_and_not_resumed(notes, tmp_path):
    out = tmp_path / "out"
    monday = notes / "days" / "monday"
    n_analysed = analyze_archive(monday, out, options=OPTIONS).n_analysed
    for path in out.glob("*/part-*.parquet"):
        table = parquet.read_table(path)
        if "uncertain" in table.column_names:
            parquet.write_table(table.drop_columns("uncertain"), path)
    plan = json.loads((out / "archive.json").read_text())
    plan["schema"] = "espressivo.archive/1"
    del plan["model"]["certainty"]
    (out / "archive.json").write_text(json.dumps(plan))

    summary = read_summary(out)
    assert (summary.n_analysed, summary.n_uncertain) == (n_analysed, None)
    message = (
        r"the schema of the tables is espressivo.archive/2, was espressivo.archive"
    )
    with pytest.raises(ArchiveError, match=message):
        analyze_archive(monday, out, options=OPTIONS)


def test_a_manifest_names_recordings_as_it_likes(notes, tmp_path):
    table = notes.parent / "calls.csv"
    table.write_text("id,path\nz,notes/silence.wav\ny,notes/absent.wav\nx,notes\n")

    analyze_archive(table, tmp_path / "out", options=OPTIONS)

    assert [row["id"] for row in rows(tmp_path / "out", "recordings")] == ["z"]
    failures = {row["id"]: row["kind"] for row in rows(tmp_path / "out", "failures")}
    assert failures == {"x": "directory", "y": "missing"}


def test_other_columns_of_a_manifest_are_in_the_tables(notes, tmp_path):
    table, out = notes.parent / "told.csv", tmp_path / "out"
    text = "id,path,Group,Emotion,line\nz,notes/silence.wav,Leipzig,joy,07\ny,no.wav,,,"
    table.write_text(text)

    analyze_archive(table, out, options=OPTIONS)

    told = "group", "manifest_Emotion", "line"
    (found,), (failure,) = rows(out, "recordings"), rows(out, "failures")
    assert [found[name] for name in told] == ["Leipzig", "joy", "07"]
    assert [*found][-3:] == [*failure][-3:] == [*told]
    assert [failure[name] for name in told] == [None] * 3
    # Not in `windows`, but joined to them by id.
    assert columns_of_manifest(["Start_s", "day"], []) == ("manifest_Start_s", "day")
    before = contents(out)
    analyze_archive(table, out, options=OPTIONS)
    assert contents(out) == before
    for changed, why in (
        (text.replace("joy", "rage"), "values in the manifest's other columns have"),
        (text.replace("line", "phone"), "manifest_Emotion, phone, was group, mani"),
    ):
        table.write_text(changed)
        with pytest.raises(ArchiveError, match=why):
            analyze_archive(table, out, options=OPTIONS)
    table.write_text(text.replace("line", "manifest_Emotion"))
    with pytest.raises(ArchiveError, match="column Emotion would be manifest_Emotion"):
        analyze_archive(table, tmp_path / "none", options=OPTIONS)


def test_transcripts_of_hours_do_not_block_the_workers(notes, tmp_path):
    table, transcript = notes.parent / "long.csv", "é" * 120_000
    lines = [f"{i},no.wav,{transcript}" for i in range(8)]
    table.write_text("\n".join(["id,path,text", *lines]), "utf-8")

    analyze_archive(table, tmp_path / "out", options=OPTIONS)

    failures = rows(tmp_path / "out", "failures")
    assert [row["text"] for row in failures] == [transcript] * 8


def test_settings_of_the_detection_are_a_part_of_the_plan(notes, tmp_path):
    out, long = tmp_path / "out", SpeechOptions(min_speech_s=60)
    patient = replace(OPTIONS, speech=long)

    summary = analyze_archive(notes / "days" / "monday", out, options=patient)

    assert summary.n_analysed == 7
    assert not any(summary.emotions.values())
    assert Plan.from_json((out / "archive.json").read_text()).speech == long
    with pytest.raises(
        ArchiveError, match=r"speech of 0.256 s.*, was .*speech of 60 s"
    ):
        analyze_archive(notes / "days" / "monday", out, options=OPTIONS)


def test_progress_counts_every_recording(notes, whole, tmp_path):
    seen = []

    analyze_archive(notes, tmp_path / "out", options=OPTIONS, on_progress=seen.append)

    assert [p.n_now for p in seen] == list(range(len(seen)))
    assert seen[-1].n_now == seen[-1].n_recordings
    assert seen[-1].n_failed == len(KINDS)
    assert all(a.sound_s <= b.sound_s for a, b in pairwise(seen))


def test_another_plan_is_refused_unless_it_is_to_be_deleted(notes, whole, tmp_path):
    out = tmp_path / "out"
    analyze_archive(notes / "days" / "monday", out, options=OPTIONS)
    before, larger = contents(out), ArchiveOptions(shard_size=5)

    with pytest.raises(ArchiveError, match=r"the input is 24 recordings .* was 7 .*"):
        analyze_archive(notes, out, options=OPTIONS)
    with pytest.raises(ArchiveError, match=r"shard size is 5, was 4; .* --restart"):
        analyze_archive(notes / "days" / "monday", out, options=larger)
    assert contents(out) == before

    analyze_archive(notes, out, options=ArchiveOptions(shard_size=4, restart=True))
    assert contents(out) == contents(whole)


def test_another_model_or_version_is_refused(notes, tmp_path):
    entries = find_entries(notes)
    plan = Plan(len(entries), "0", "a", "1", "2", (), 32, "0.1.0")
    with opened(tmp_path, plan, restart=False):
        pass

    other = Plan(len(entries), "0", "b", "1", "2", (), 32, "0.2.0")
    message = r"the model is b 1 .*, was a 1 .*; espressivo is 0.2.0, was 0.1.0"
    with (
        pytest.raises(ArchiveError, match=message),
        opened(tmp_path, other, restart=False),
    ):
        pass


def test_another_decoder_or_runtime_is_refused_and_the_right_one_named(notes, tmp_path):
    plan = Plan(9, "0", "a", "1", "2", (), 32, software=Software("18.1", "8.1", "1.32"))
    with opened(tmp_path, plan, restart=False):
        pass

    now = replace(plan, software=Software("19.0", "9.0", "1.33"))
    with pytest.raises(ArchiveError) as found, opened(tmp_path, now, restart=False):
        pass
    assert (
        "the decoder is PyAV 19.0 with FFmpeg 9.0, was PyAV 18.1 with FFmpeg 8.1 "
        "(pip install av==18.1); onnxruntime is 1.33, was 1.32 "
        "(pip install onnxruntime==1.32); give what it was begun with, name another "
    ) in str(found.value)
    # An archive of an earlier version does not tell.
    assert not plan.differences(replace(plan, software=None))


def test_a_folder_with_other_things_is_never_touched(notes, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    for restart in (False, True):
        options = ArchiveOptions(restart=restart)
        with pytest.raises(ArchiveError, match=r"holds other things \(thesis.txt\)"):
            analyze_archive(notes, tmp_path, options=options)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_process_at_a_time(notes, whole):
    plan = Plan.from_json((whole / "archive.json").read_text())

    with (
        opened(whole, plan, restart=False),
        pytest.raises(ArchiveError, match="another process is writing there"),
    ):
        analyze_archive(notes, whole, options=OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ("{}", "lacks something"), ('{"schema": "x"}', "schema x")],
)
def test_an_archive_json_that_is_none_is_refused(notes, tmp_path, text, message):
    (tmp_path / "archive.json").write_text(text)

    with pytest.raises(ArchiveError, match=message):
        analyze_archive(notes, tmp_path)
    with pytest.raises(ArchiveError, match=message):
        read_summary(tmp_path)


def test_what_cannot_begin_says_why(notes, tmp_path):
    with pytest.raises(ModelError, match="neither a folder nor a bundled model"):
        analyze_archive(notes, tmp_path / "out", model="nonsense")
    with pytest.raises(ArchiveError, match=r"holds no archive\.json"):
        read_summary(tmp_path)
    with pytest.raises(ValueError, match="workers is 0"):
        ArchiveOptions(workers=0)
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match="cannot be used"):
        analyze_archive(notes, tmp_path / "file" / "out")


def test_the_guide_names_every_suffix_column_and_kind(whole):
    guide = (ROOT / "docs" / "archive.md").read_text("utf-8")

    for suffix in SUFFIXES:
        assert re.search(rf"\b{suffix[1:]}\b", guide)
    for table in TABLES:
        for column in rows(whole, table)[0].keys() - set(Emotion):
            assert f"`{column}`" in guide
    for kind in (*KINDS.values(), "memory", "crash", "not opened", "damaged", "error"):
        assert f"`{kind}`" in guide


@pytest.mark.parametrize(
    ("n_recordings", "size"),
    [(1, 32), (131_072, 32), (131_073, 33), (1_000_000, 245), (100_000_000, 1000)],
)
def test_a_large_archive_has_larger_parts(n_recordings, size):
    assert usual_shard_size(n_recordings) == size
