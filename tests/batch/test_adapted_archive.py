"""Archives that are adapted: by group and speaker, in two passes."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import time
from collections import defaultdict

import numpy as np
import pytest
from pyarrow import parquet

from espressivo import Analyzer, load_model
from espressivo.batch import ArchiveOptions, analyze_archive, read_summary
from espressivo.cli.main import main
from espressivo.errors import ArchiveError, ModelError, ProfileError
from espressivo.model.find import find_model
from espressivo.profile.profile import Kind, Profile
from espressivo.types import Emotion, to_rows
from tests.archives import command, contents, rows, run
from tests.conftest import ROOT
from tests.recordings import encode

MODEL = "espressivo-tiny"
OPTIONS = ArchiveOptions(shard_size=5, adapt=True)
N_EACH = 3


def write_manifest(path, table):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture(scope="module")
def calls(shared, tmp_path_factory, note):
    """Rows of a manifest: two groups, five speakers, unknown ones, faults."""
    folder = tmp_path_factory.mktemp("calls")
    found = defaultdict(list)
    for corpus, n in (("emodb", 2), ("nemo", 3)):
        for path in sorted((shared / "corpora" / corpus).glob("*.opus")):
            found[corpus, path.stem[:n]].append(path)
    table = []
    for (corpus, speaker), paths in sorted(found.items()):
        some = random.Random(speaker).sample(paths, N_EACH)
        known = {"emodb": ("03", "08"), "nemo": ("SM0", "WR0", "IC0")}[corpus]
        for path in some if speaker in known else some[:1]:
            name = speaker if speaker in known else ""
            table.append(
                {"id": path.stem, "path": path, "group": corpus, "speaker": name}
            )
    encode(folder / "silence.wav", np.zeros(16_000, np.float32))
    encode(folder / "alone.wav", note[: 16 * 16_000])
    for name, group, speaker in (
        ("silence.wav", "emodb", "03"),
        ("absent.wav", "emodb", "08"),
        ("alone.wav", "only one", "Ä b"),
    ):
        row = {"id": name, "path": folder / name, "group": group, "speaker": speaker}
        table.append(row)
    return table


@pytest.fixture(scope="module")
def manifest(calls, tmp_path_factory):
    return write_manifest(tmp_path_factory.mktemp("manifest") / "calls.csv", calls)


@pytest.fixture(scope="module")
def whole(manifest, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted") / "out"
    analyze_archive(manifest, out, model=MODEL, options=OPTIONS)
    return out


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a function that makes a model with another card of adaptation."""

    def make(**changes):
        folder = tmp_path_factory.mktemp("models") / "own"
        shutil.copytree(find_model(MODEL), folder)
        card = json.loads((folder / "model.json").read_text("utf-8"))
        if changes:
            card["adaptation"] |= changes
        else:
            del card["adaptation"]
        (folder / "model.json").write_text(json.dumps(card), "utf-8")
        return folder

    return make


def all_rows(out):
    return {table: rows(out, table) for table in ("recordings", "windows", "failures")}


def test_a_row_is_that_of_analyze_with_the_speakers_profile_and_the_groups_setting(
    calls, whole
):
    analyzer = load_model(MODEL, voices=True)
    heard = sorted((c for c in calls if c["id"] != "absent.wav"), key=lambda c: c["id"])
    reports = {c["id"]: analyzer.analyze(c["path"], name=c["id"]) for c in heard}
    found = {row["id"]: row for row in rows(whole, "recordings")}
    assert found.keys() == reports.keys()

    for call in heard:
        group = [c for c in heard if c["group"] == call["group"]]
        own = [c for c in group if c["speaker"] == call["speaker"] and c["speaker"]]
        profile = Profile.new("me", analyzer.classifier)
        profile = profile.merged(*(reports[c["id"]] for c in own or [call]))
        setting = Profile.new("here", analyzer.classifier, kind=Kind.SETTING)
        setting = setting.merged(*(reports[c["id"]] for c in group))
        if call["group"] == "only one":
            setting = None
        adapted = analyzer.with_profile(profile, setting)
        wanted = adapted.analyze(call["path"], name=call["id"]).to_dict()

        row = found[call["id"]]
        assert (row["group"], row["speaker"]) == (
            call["group"],
            call["speaker"] or None,
        )
        for name in ("duration_s", "speech_s", "emotion", "uncertain"):
            assert row[name] == wanted[name]
        if call["id"] == "silence.wav":
            assert row["change"] is row["weight"] is row["emotion_without"] is None
            continue
        for emotion, p in wanted["probabilities"].items():
            assert row[emotion] == pytest.approx(p, abs=2e-4)
        for name in ("weight", "offset", "deviation", "change"):
            assert row[name] == pytest.approx(wanted["adaptation"][name], abs=2e-4)
        assert row["emotion_without"] == wanted["adaptation"]["emotion_without"]
        assert row["emotion_without"] == reports[call["id"]].emotion


def test_a_group_of_one_recording_is_that_recording_by_itself(calls, whole):
    (call,) = [c for c in calls if c["group"] == "only one"]
    report = load_model(MODEL, adapt=True).analyze(call["path"], name="alone.wav")
    wanted = report.to_dict()

    (row,) = [row for row in rows(whole, "recordings") if row["id"] == "alone.wav"]
    assert {e: row[e] for e in wanted["probabilities"]} == wanted["probabilities"]
    assert row["n_windows"] == len(report.estimates) > 1
    windows = [row for row in rows(whole, "windows") if row["id"] == "alone.wav"]
    pairs = zip(windows, report.estimates, report.adaptation.without, strict=True)
    for window, now, before in pairs:
        assert window["emotion"] == now.emotion
        assert window["emotion_without"] == before.emotion
        apart = np.abs(np.subtract(*to_rows([now, before]))).sum() / 2
        assert window["change"] == pytest.approx(apart, abs=1e-4)


def test_the_rows_are_the_same_whatever_the_workers_the_shards_and_the_order(
    calls, whole, tmp_path
):
    shuffled = random.Random(2).sample(calls, len(calls))
    other = write_manifest(tmp_path / "other.csv", shuffled)
    for n, size in ((1, 5), (2, 1), (3, 100)):
        out = tmp_path / f"{n}-{size}"
        options = ArchiveOptions(workers=n, shard_size=size, adapt=True)
        summary = analyze_archive(other, out, model=MODEL, options=options)

        assert all_rows(out) == all_rows(whole)
        assert summary.adaptation == read_summary(whole).adaptation
        if size == 5:
            assert contents(out) == contents(whole)


def test_killed_in_either_pass_it_ends_as_if_undisturbed(manifest, whole, tmp_path):
    out = tmp_path / "out"
    given = (manifest, "--out", out, "--model", MODEL, "--adapt", "--shard-size", 5)
    folders = ["voices", "voices", "recordings"]
    for i, folder in enumerate(folders):
        process = subprocess.Popen(
            command(*given, "--workers", 1),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len([*out.glob(f"{folder}/part-*")]) <= folders[:i].count(folder):
            assert process.poll() is None, "it was quicker than this test"
            time.sleep(0.001)
        process.kill()
        process.wait()
        # No part of the tables is there before all recordings are heard.
        n_heard = len([*out.glob("voices/part-*")])
        n_shards = json.loads((out / "archive.json").read_text())["n_parts"]
        assert n_heard == n_shards or not [*out.glob("recordings/part-*")]

    assert run(*given).returncode == 3
    assert contents(out) == contents(whole)
    assert not (out / "voices").exists()


def test_what_was_heard_is_not_heard_again(manifest, whole, tmp_path):
    out = tmp_path / "out"
    analyze_archive(manifest, out, model=MODEL, options=OPTIONS)
    seen = []

    analyze_archive(
        manifest, out, model=MODEL, options=OPTIONS, on_progress=seen.append
    )

    assert [(p.stage, p.n_now) for p in seen] == [("analysis", 0)]
    (out / "recordings" / "part-000001.parquet").unlink()
    seen.clear()
    analyze_archive(
        manifest, out, model=MODEL, options=OPTIONS, on_progress=seen.append
    )
    last = {p.stage: (p.n_before, p.n_now) for p in seen}
    n = seen[-1].n_recordings
    # The group's other recordings are needed for it.
    assert last == {"analysis": (0, n), "voices": (0, n), "adaptation": (n - 5, 5)}
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("kind", ["nonsense", "of others", "cut"])
def test_a_damaged_file_of_the_first_pass_is_one_line(manifest, tmp_path, kind):
    out = tmp_path / "out"

    def damage(progress):
        if progress.stage == "voices" and not progress.n_now:
            path = out / "voices" / "part-000001.parquet"
            whole = parquet.read_table(path)
            if kind == "nonsense":
                path.write_bytes(b"nonsense")
            elif kind == "of others":
                shutil.copy(out / "voices" / "part-000000.parquet", path)
            else:
                parquet.write_table(whole.slice(0, 1), path)

    with pytest.raises(ArchiveError, match=r"first pass is damaged .*; delete the"):
        analyze_archive(manifest, out, model=MODEL, options=OPTIONS, on_progress=damage)
    assert not [*out.glob("recordings/part-*")]


def test_another_adaptation_is_refused(calls, manifest, whole, tmp_path, own):
    before = contents(whole)
    groups = [{**c, "group": c["group"].replace("emodb", "berlin")} for c in calls]
    speakers = [{**c, "speaker": c["speaker"].replace("03", "3")} for c in calls]
    message = (
        "groups or speakers of recordings have changed, so that the finished rows "
        "would be of another adaptation; .* --restart"
    )
    for table in (groups, speakers):
        other = write_manifest(tmp_path / "calls.csv", table)
        with pytest.raises(ArchiveError, match=message):
            analyze_archive(other, whole, model=MODEL, options=OPTIONS)
    plain, patient = ArchiveOptions(shard_size=5), own(patience=20.0)
    with pytest.raises(ArchiveError, match=r"the adaptation is off, was on"):
        analyze_archive(manifest, whole, model=MODEL, options=plain)
    with pytest.raises(ArchiveError, match=r"adaptation is on \(by .*, was on \(by"):
        analyze_archive(manifest, whole, model=patient, options=OPTIONS)
    assert contents(whole) == before

    out = tmp_path / "plain"
    analyze_archive(manifest, out, model=MODEL, options=plain)
    with pytest.raises(ArchiveError, match=r"the adaptation is on .*, was off"):
        analyze_archive(manifest, out, model=MODEL, options=OPTIONS)
    # Without adaptation, both are columns that are copied.
    with pytest.raises(ArchiveError, match="manifest's other columns have changed"):
        analyze_archive(other, out, model=MODEL, options=plain)

    restarted = ArchiveOptions(shard_size=5, adapt=True, restart=True)
    analyze_archive(manifest, out, model=MODEL, options=restarted)
    assert contents(out) == before


def test_some_without_a_group_are_refused(calls, tmp_path):
    table = [{**c, "group": c["group"].replace("only one", "")} for c in calls]
    other = write_manifest(tmp_path / "calls.csv", table)

    message = r"column group: is empty for 1 of \d+ recordings \(alone.wav\); give"
    with pytest.raises(ArchiveError, match=message):
        analyze_archive(other, tmp_path / "out", model=MODEL, options=OPTIONS)
    assert not (tmp_path / "out").exists()


def test_without_columns_the_archive_is_one_group(calls, whole, tmp_path):
    few = [c for c in calls if c["group"] == "emodb"]
    bare = [{"id": c["id"], "path": c["path"]} for c in few]
    one = [{**c, "group": "any", "speaker": ""} for c in few]
    found = {}
    for name, table in (("bare", bare), ("one", one)):
        source = write_manifest(tmp_path / f"{name}.csv", table)
        out = tmp_path / name
        analyze_archive(source, out, model=MODEL, options=OPTIONS)
        found[name] = rows(out, "recordings")

    assert {row["group"] for row in found["bare"]} == {None}
    assert [{**row, "group": "any"} for row in found["bare"]] == found["one"]
    # A speaker's other recordings count.
    named = {row["id"]: row for row in rows(whole, "recordings")}
    assert any(row["weight"] < named[row["id"]]["weight"] for row in found["one"][:-1])


def test_an_archive_without_speech_is_none_with_it(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        encode(tmp_path / "in" / f"{i}.wav", np.zeros(16_000, np.float32))

    summary = analyze_archive(
        tmp_path / "in", tmp_path / "out", model=MODEL, options=OPTIONS
    )

    assert (summary.n_analysed, summary.n_with_speech) == (3, 0)
    assert (summary.adaptation.n_groups, summary.adaptation.change) == (0, 0.0)
    assert {row["change"] for row in rows(tmp_path / "out", "recordings")} == {None}


def test_a_model_that_cannot_adapt_is_refused_before_any_work(manifest, tmp_path, own):
    with pytest.raises(ModelError, match="cannot adapt"):
        analyze_archive(manifest, tmp_path / "out", model=own(), options=OPTIONS)
    assert not (tmp_path / "out").exists()


def test_several_people_under_one_name_are_told(calls, tmp_path, own):
    # No speaker has enough windows here to be judged, but for one of nine recordings.
    table = [c for c in calls if c["id"] != "absent.wav"]
    table = [{**c, "group": "", "speaker": "all"} for c in table]
    table[0]["speaker"] = "other"
    source = write_manifest(tmp_path / "calls.csv", table)

    out = tmp_path / "out"
    strict = own(spread_limit=0.01)
    summary = analyze_archive(source, out, model=strict, options=OPTIONS)

    assert summary.adaptation.several_speakers == ("all",)
    assert summary.adaptation.n_speakers == 2
    for row in rows(out, "recordings"):
        if row["emotion"]:
            several = row["speaker"] == "all"
            assert row["several_speakers"] == several
            told = "speaker 'all' is probably of several people"
            assert (
                any(warning.startswith(told) for warning in row["warnings"]) == several
            )


def test_the_summary_counts_what_moved(whole):
    found = read_summary(whole).adaptation
    spoken = [row for row in rows(whole, "recordings") if row["emotion"]]

    assert found.n_groups == 3
    assert found.n_speakers == 6
    assert found.n_changed == sum(
        row["emotion"] != row["emotion_without"] for row in spoken
    )
    assert found.change == pytest.approx(np.mean([row["change"] for row in spoken]))
    assert 0 < found.change < 1
    assert found.several_speakers == ()


def test_the_command_tells_what_moved(manifest, whole, tmp_path, capsys):
    done = run(
        manifest,
        "--out",
        tmp_path / "out",
        "--model",
        MODEL,
        "--adapt",
        "--shard-size",
        5,
    )

    assert done.returncode == 3
    assert "adapted to 3 groups and 6 speakers\n" in done.stdout
    n = read_summary(whole).adaptation.n_changed
    assert f"\n  {n} recordings (" in done.stdout
    lines = [line for line in done.stdout.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80
    assert contents(tmp_path / "out") == contents(whole)


def test_a_setting_is_that_of_analyze(calls, tmp_path):
    classifier = load_model(MODEL).classifier
    listening = Analyzer(classifier, voices=True)
    others = [listening.analyze(c["path"]) for c in calls if c["group"] == "nemo"]
    setting = Profile.new("hotline", classifier, kind=Kind.SETTING).merged(*others)
    few = [c for c in calls if c["group"] != "nemo"]
    source, out = write_manifest(tmp_path / "calls.csv", few), tmp_path / "out"
    options = ArchiveOptions(shard_size=5, setting=setting)

    summary = analyze_archive(source, out, model=MODEL, options=options)

    analyzer = Analyzer(classifier, setting=setting)
    for row in rows(out, "recordings"):
        report = analyzer.analyze(row["path"], name=row["id"]).to_dict()
        for emotion, p in (report["probabilities"] or {}).items():
            assert row[emotion] == p
        if report["emotion"]:
            for name in ("weight", "offset", "deviation", "change", "emotion_without"):
                assert row[name] == report["adaptation"][name]
    assert summary.adaptation.setting == "hotline"
    assert {"change", "emotion_without"} <= rows(out, "windows")[0].keys()
    other = ArchiveOptions(shard_size=5, setting=setting.merged(*others))
    with pytest.raises(ArchiveError, match=r"the setting is hotline \(.*, was hotline"):
        analyze_archive(source, out, model=MODEL, options=other)
    with pytest.raises(ArchiveError, match=r"the setting is none, was hotline \("):
        analyze_archive(source, out, model=MODEL, options=ArchiveOptions(shard_size=5))


def test_what_cannot_be_a_setting_is_refused(manifest, tmp_path):
    classifier = load_model(MODEL).classifier
    speaker = Profile.new("me", classifier)
    setting = Profile.new("hotline", classifier, kind=Kind.SETTING)

    for wrong, model in ((speaker, MODEL), (setting, "espressivo-base")):
        options = ArchiveOptions(setting=wrong)
        with pytest.raises(ProfileError, match=r"make a setting|own --model"):
            analyze_archive(manifest, tmp_path / "out", model=model, options=options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="pass it or a setting"):
        ArchiveOptions(adapt=True, setting=setting)
    with pytest.raises(SystemExit) as exit_:
        main(["archive", "in", "--out", "out", "--adapt", "--setting", "hotline"])
    assert exit_.value.code == 2


def test_a_cluster_gives_the_same_tables(manifest, whole, tmp_path):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    given = ("--model", MODEL, "--adapt", "--shard-size", 5, "--engine", "ray")

    done = run(manifest, "--out", tmp_path / "out", *given)

    assert done.returncode == 3, done.stderr
    assert contents(tmp_path / "out") == contents(whole)


def test_the_guide_names_every_column(whole):
    guide = (ROOT / "docs" / "archive.md").read_text("utf-8")

    for table in ("recordings", "windows"):
        for column in rows(whole, table)[0].keys() - set(Emotion):
            assert f"`{column}`" in guide
