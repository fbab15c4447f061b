from __future__ import annotations

import csv
import json
import shlex
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from espressivo.audio.recording import load_audio
from espressivo.errors import ConfigError, CorpusError, TrainingError
from espressivo.model.find import DEFAULT
from espressivo.training.clips.preprocess import trim
from espressivo.training.corpora import read_corpus
from espressivo.training.corpora.utterance import select_speakers
from espressivo.training.networks import NetworkConfig, build_network, load_pretrained
from espressivo.training.scores import bootstrap
from espressivo.training.scores.metrics import score
from espressivo.types import Emotion
from research.peers import __main__ as study
from research.peers import linear, pretrained, trained
from research.peers.clips import (
    CORPORA,
    FOLDS,
    READ_SPEECH,
    Clip,
    read_clips,
    select_tested,
    split,
)
from research.peers.features import (
    compute_features,
    find_features,
    log_mel_statistics,
)
from research.peers.predictions import (
    ClipLabels,
    load_clips,
    load_predictions,
    write_clips,
    write_predictions,
)
from research.peers.report import to_markdown
from research.peers.results import MEAN, WITHOUT_CALM, score_systems
from research.peers.systems import Predictions, System, read_systems, run_system
from research.peers.table import (
    EMOTIONS,
    Cost,
    read_probabilities,
    read_table,
    write_probabilities,
    write_table,
)

ROOT = Path(__file__).parents[2]
DATA = ROOT / "research" / "peers" / "data"


@pytest.fixture(scope="module")
def labelled(shared) -> list[Clip]:
    """All clips by label; none of their files is written."""
    readers = read_corpus(READ_SPEECH, shared / "speech")
    even = {u.id for u in select_speakers(readers, "even")}
    utterances = [
        u for name in CORPORA for u in read_corpus(name, shared / "corpora" / name)
    ]
    return [Clip(u, u.path, u.id in even) for u in (*utterances, *readers)]


@pytest.fixture(scope="module")
def few(labelled) -> list[Clip]:
    """A clip of every corpus and emotion, of the first speaker who has it."""
    first: dict[tuple[str, str, bool], Clip] = {}
    for clip in labelled:
        u = clip.utterance
        first.setdefault((u.corpus, u.emotion, clip.always_trains), clip)
    return [*first.values()]


def made_up(n_speakers=3, n_clips=8):
    """Labels of every fold, and predictions of two systems that know something."""
    rng = np.random.default_rng(0)
    corpora, speakers, labels = [], [], []
    for corpus in FOLDS:
        n = n_speakers * n_clips
        corpora += [corpus] * n
        speakers += [f"{corpus}/{i % n_speakers}" for i in range(n)]
        labels += [2] * n if corpus == READ_SPEECH else (np.arange(n) // 2 % 4).tolist()
    truth = np.array(labels)
    ids = [f"{corpus}/{i}" for i, corpus in enumerate(corpora)]
    is_calm = (
        (np.array(corpora) == "ravdess") & (truth == 2) & (np.arange(len(ids)) % 3 > 0)
    )
    clips = ClipLabels(ids, np.array(corpora), np.array(speakers), truth, is_calm)
    predictions = {}
    for name, strength in (("good", 2.0), ("poor", 0.5)):
        logits = rng.normal(size=(len(ids), 4)) + strength * np.eye(4)[truth]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        predictions[name] = Predictions(ids, p.astype(np.float32), Cost(1, 2, 3.0))
    return clips, predictions


def test_no_speaker_trains_and_tests(labelled):
    for fold in FOLDS:
        train, test = split(labelled, fold)
        assert {c.utterance.speaker for c in train}.isdisjoint(
            {c.utterance.speaker for c in test}
        )
        assert {c.utterance.corpus for c in test} == {fold}
        assert fold == READ_SPEECH or fold not in {c.utterance.corpus for c in train}
        # All systems hear reading as neutral, in every fold.
        assert {c.utterance.speaker for c in labelled if c.always_trains} <= {
            c.utterance.speaker for c in train
        }


def test_every_tested_clip_is_in_one_fold(labelled):
    found = [c.utterance.id for fold in FOLDS for c in split(labelled, fold)[1]]

    assert len(found) == len(set(found))
    assert set(found) == {c.utterance.id for c in select_tested(labelled)}


def test_clips_are_the_trimmed_start_of_the_recordings(shared, tmp_path, monkeypatch):
    monkeypatch.setattr("research.peers.clips.CORPORA", ("emotiontts",))

    clips = read_clips(shared, tmp_path)

    assert {c.utterance.corpus for c in clips} == {"emotiontts", READ_SPEECH}
    for clip in (clips[0], clips[-1]):
        whole = trim(load_audio(clip.utterance.path))[: 8 * 16_000]
        found = load_audio(clip.path)
        assert found.shape == whole.shape
        # 16 bits, which clip what the decoder puts beyond full scale.
        np.testing.assert_allclose(found, whole.clip(-1, 1), atol=1 / 32_000)


def test_a_system_sees_no_label_that_it_is_tested_on(few, tmp_path):
    train, test = split(few, "emodb")
    write_table(tmp_path / "table.csv", train, test)

    known, unknown = read_table(tmp_path / "table.csv")

    assert [row.id for row in known] == [c.utterance.id for c in train]
    assert [row.label for row in known] == [str(c.utterance.emotion) for c in train]
    assert [row.id for row in unknown] == [c.utterance.id for c in test]
    assert {row.label for row in unknown} == {""}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,1,0,0,0", "lacks 'a'"),
        ("a,0.5,0.5,0.5,0", "sum to 1"),
        ("a,1.5,-0.5,0,0", "not negative"),
        ("a,nan,0,0,1", "no probabilities"),
        ("a,much,0,0,0", "holds no numbers"),
        ("a,1", "holds no numbers"),
    ],
)
def test_what_is_no_probability_is_refused(tmp_path, row, message):
    path = tmp_path / "out.csv"
    path.write_text(f"id,{','.join(EMOTIONS)}\n{row}\n", "utf-8")

    with pytest.raises(TrainingError, match=message):
        read_probabilities(path, ["a"])


def test_columns_and_rows_may_come_in_any_order(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text(
        "sadness,id,neutral,anger,happiness\n0.1,b,0.2,0.3,0.4\n1,a,0,0,0\n", "utf-8"
    )

    found = read_probabilities(path, ["a", "b"])

    np.testing.assert_allclose(found, [[0, 0, 0, 1], [0.3, 0.4, 0.2, 0.1]], rtol=1e-6)


UNIFORM = """
import csv, sys
rows = list(csv.DictReader(open(sys.argv[-2], encoding="utf-8")))
with open(sys.argv[-1], "w", encoding="utf-8") as out:
    out.write("id,anger,happiness,neutral,sadness\\n")
    for row in rows:
        if row.get("part") != "train":
            out.write(row["id"] + ",0.25,0.25,0.25,0.25\\n")
"""


def test_any_command_is_a_system(few, tmp_path):
    script = tmp_path / "with space" / "uniform.py"
    script.parent.mkdir()
    script.write_text(UNIFORM, "utf-8")
    command = "{python} " + shlex.quote(str(script))
    places = {"data": tmp_path, "cache": tmp_path / "cache"}

    found = run_system("uniform", System("Uniform", command), few, **places)

    assert sorted(found.ids) == sorted(c.utterance.id for c in select_tested(few))
    assert (found.probabilities == 0.25).all()
    assert found.cost == Cost()  # it did not say

    script.unlink()  # what is done is not done again
    again = run_system("uniform", System("Uniform", command), few, **places)
    assert again.ids == found.ids


def test_a_pretrained_system_gets_nothing_but_paths(few, tmp_path):
    script = tmp_path / "uniform.py"
    script.write_text(UNIFORM, "utf-8")
    command = "{python} " + shlex.quote(str(script))
    system = System("Uniform", command, pretrained=True, knows=("tess",))

    found = run_system("u", system, few, data=tmp_path, cache=tmp_path)

    with (tmp_path / "tables" / "u.csv").open(encoding="utf-8") as table:
        assert csv.DictReader(table).fieldnames == ["id", "path"]
    wanted = {
        c.utterance.id for c in select_tested(few) if c.utterance.corpus != "tess"
    }
    assert set(found.ids) == wanted


def test_a_failing_system_is_named(few, tmp_path):
    system = System("No", "{python} -c 'raise SystemExit(3)'")

    with pytest.raises(TrainingError, match="exit code 3"):
        run_system("no", system, few, data=tmp_path, cache=tmp_path)


def test_only_pretrained_systems_may_know_a_corpus(tmp_path):
    path = tmp_path / "systems.toml"
    path.write_text('[a]\ntitle = "A"\ncommand = "a"\nknows = ["tess"]\n', "utf-8")

    with pytest.raises(ConfigError, match="not pretrained"):
        read_systems(path)


def test_log_mel_statistics_are_those_of_the_statistics_network(note):
    network = build_network(NetworkConfig("statistics")).eval()
    samples = torch.from_numpy(np.array(note[:48_000]))[None]

    with torch.no_grad():
        wanted = network.pooled(network.front(samples))[0, :160].numpy()

    found = log_mel_statistics(note[:48_000])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_whisper_features_are_those_of_the_network(shared, note):
    weights = shared / "weights" / "whisper_tiny_en_encoder_fp16.safetensors"
    config = NetworkConfig(
        "whisper", str(weights), frozen="all", n_layers=2, states=(2,), head="mean"
    )
    network = build_network(config)
    load_pretrained(network, config)
    samples = torch.from_numpy(np.array(note[:48_000]))[None]

    with torch.no_grad():
        wanted = network.eval().pooled(network.front(samples))[0].numpy()

    features = find_features("whisper:2", weights)
    np.testing.assert_allclose(features.compute(note[:48_000]), wanted, atol=1e-3)
    encoder = sum(p.numel() for p in network.encoder.parameters())
    assert features.n_parameters == encoder


def test_egemaps_knows_pitch_from_level(note):
    pytest.importorskip("opensmile")
    compute = find_features("egemaps").compute

    loud, quiet = compute(note[:48_000]), compute(note[:48_000] / 10)

    assert loud.shape == (88,)
    assert loud[0] == pytest.approx(quiet[0], abs=0.5)  # mean pitch, in semitones
    assert loud[10] > 1.5 * quiet[10]  # mean loudness


def test_features_are_computed_once(few, tmp_path):
    features = find_features("log-mel")
    calls = []

    def counted(signal):
        calls.append(len(signal))
        return features.compute(signal)

    paths = [clip.path for clip in few[:4]]
    first = compute_features(replace(features, compute=counted), paths, tmp_path)
    more = compute_features(
        replace(features, compute=counted), [few[4].path, *paths[::-1]], tmp_path
    )

    assert len(calls) == 5
    np.testing.assert_array_equal(first, more[:0:-1])


@pytest.mark.parametrize("classifier", linear.CLASSIFIERS)
def test_linear_systems_find_what_is_there(classifier):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    rows = rng.normal(size=(400, 6)) + 3 * np.eye(4, 6)[labels]
    corpora = [f"c{i // 4 % 3}" for i in range(400)]

    fitted = linear.CLASSIFIERS[classifier](rows[:200], labels[:200], corpora[:200])

    assert fitted.logits(rows[200:]).shape == (200, 4)
    assert (fitted.logits(rows[200:]).argmax(1) == labels[200:]).mean() > 0.9
    assert fitted.n_parameters >= 4 * 7


def test_a_linear_system_runs_through_its_command(few, tmp_path):
    train, test = split(few, "emodb")
    write_table(tmp_path / "table.csv", train, test)
    words = ["--features", "log-mel", "--classifier", "logistic"]
    tables = [str(tmp_path / "table.csv"), str(tmp_path / "out.csv")]

    assert linear.main([*words, "--cache", str(tmp_path), *tables]) == 0

    ids = [c.utterance.id for c in test]
    assert read_probabilities(tmp_path / "out.csv", ids).shape == (4, 4)
    cost = Cost(**json.loads((tmp_path / "out.json").read_text("utf-8")))
    assert cost.n_parameters == 2 * 160 + 4 * 161
    assert cost.n_bytes == 4 * cost.n_parameters
    assert cost.ms_per_s is not None
    assert cost.ms_per_s > 0


def test_unknown_features_are_refused(tmp_path):
    for name in ("mfcc", "whisper:2", "egemaps:1"):
        with pytest.raises(ConfigError, match="do not exist"):
            find_features(name)


def test_a_recipe_is_a_system(few, tmp_path, shared, monkeypatch):
    monkeypatch.setenv("ESPRESSIVO_DATA", str(shared))
    recipe = tmp_path / "quick.toml"
    text = (ROOT / "research/peers/light-sernet.toml").read_text("utf-8")
    recipe.write_text(
        text.replace("epochs = 15", "epochs = 1").replace("draws = 1024", "draws = 16"),
        "utf-8",
    )
    train, test = split(few, "emodb")
    write_table(tmp_path / "emodb.csv", train, test)
    words = [str(recipe), "--cache", str(tmp_path / "cache")]
    tables = [str(tmp_path / "emodb.csv"), str(tmp_path / "out.csv")]

    assert trained.main([*words, *tables]) == 0

    ids = [c.utterance.id for c in test]
    first = read_probabilities(tmp_path / "out.csv", ids)
    # A finished run is loaded, and says the same.
    assert trained.main([*words, *tables]) == 0
    np.testing.assert_allclose(read_probabilities(tmp_path / "out.csv", ids), first)


def test_a_model_is_a_system_as_it_is(few, tmp_path, analyzer):
    table = tmp_path / "table.csv"
    lines = [f"{c.utterance.id},{c.path}" for c in few[:2]]
    table.write_text("\n".join(["id,path", *lines]), "utf-8")

    assert pretrained.main([DEFAULT, str(table), str(tmp_path / "out.csv")]) == 0

    found = read_probabilities(tmp_path / "out.csv", [c.utterance.id for c in few[:2]])
    signal = load_audio(few[0].path)
    window = analyzer.classifier.card.window
    wanted = analyzer.classifier(signal[None, :window])[0]
    np.testing.assert_allclose(found[0], wanted, atol=2e-5)


def test_scores_are_those_of_the_corpora():
    clips, predictions = made_up()

    good, poor = score_systems(clips, predictions, "good")

    for corpus in FOLDS:
        at = clips.corpora == corpus
        wanted = score(clips.labels[at], predictions["good"].probabilities[at]).ua
        assert good.scores[corpus].value == pytest.approx(wanted)
    mean = np.mean([good.scores[corpus].value for corpus in CORPORA])
    assert good.scores[MEAN].value == pytest.approx(mean)
    assert not good.comparisons
    assert poor.comparisons[MEAN].difference == pytest.approx(
        poor.scores[MEAN].value - good.scores[MEAN].value
    )


def test_comparisons_of_a_corpus_are_the_paired_bootstrap():
    clips, predictions = made_up()
    _, poor = score_systems(clips, predictions, "good")
    at = clips.corpora == "emodb"

    wanted = bootstrap.compare(
        clips.labels[at],
        predictions["good"].probabilities[at],
        predictions["poor"].probabilities[at],
        clips.speakers[at].tolist(),
        zlib.crc32(b"emodb"),
    )["ua"]

    found = poor.comparisons["emodb"]
    assert found.difference == pytest.approx(wanted.difference)
    assert (found.interval, found.p) == (wanted.interval, wanted.p)


def test_calm_clips_are_left_out_of_their_own_column_only():
    clips, predictions = made_up()
    good, _ = score_systems(clips, predictions, "good")

    at = (clips.corpora == "ravdess") & ~clips.is_calm
    wanted = score(clips.labels[at], predictions["good"].probabilities[at]).ua
    assert good.scores[WITHOUT_CALM].value == pytest.approx(wanted)


def test_a_system_equals_itself_in_any_order():
    clips, predictions = made_up()
    good = predictions["good"]
    turned = Predictions(good.ids[::-1], good.probabilities[::-1], good.cost)

    _, same = score_systems(clips, {"good": good, "same": turned}, "good")

    for compared in same.comparisons.values():
        assert compared.difference == 0
        assert compared.p == 1


def test_p_values_of_the_mean_are_corrected_for_the_number_of_systems():
    clips, predictions = made_up()
    poor = predictions["poor"]
    alone = score_systems(clips, predictions, "good")[1].comparisons
    three = {**predictions, "second": poor, "third": poor}

    found = score_systems(clips, three, "good")[1].comparisons

    assert found[MEAN].p == pytest.approx(min(1, 3 * alone[MEAN].p))
    assert found["emodb"].p == alone["emodb"].p


def test_known_corpora_do_not_count():
    clips, predictions = made_up()
    good = predictions["good"]
    rows = [i for i, name in enumerate(good.ids) if not name.startswith("tess/")]
    some = Predictions([good.ids[i] for i in rows], good.probabilities[rows], Cost())

    _, stranger = score_systems(clips, {"good": good, "some": some}, "good")

    assert "tess" not in stranger.scores
    assert MEAN not in stranger.scores
    assert "emodb" in stranger.comparisons
    text = to_markdown([stranger], {}, "good")
    assert "knows it" in text


def test_half_a_corpus_is_refused():
    clips, predictions = made_up()
    good = predictions["good"]
    half = Predictions(good.ids[1:], good.probabilities[1:], Cost())

    with pytest.raises(CorpusError, match="lacks some clips of ravdess"):
        score_systems(clips, {"half": half}, "half")
    with pytest.raises(CorpusError, match="no predictions of best"):
        score_systems(clips, predictions, "best")


def test_predictions_keep_their_digits(labelled, tmp_path):
    names = [c.utterance.id for c in select_tested(labelled)]
    p = np.random.default_rng(0).dirichlet(np.ones(4), len(names))
    write_clips(labelled, tmp_path)
    write_predictions("a", Predictions(names, p.astype(np.float32), Cost(1)), tmp_path)

    clips, found = load_clips(tmp_path), load_predictions("a", tmp_path)

    assert clips.ids == found.ids == names
    assert found.cost == Cost(1)
    np.testing.assert_allclose(found.probabilities, p, atol=5e-4)
    assert clips.is_calm.sum() == 192
    assert len(set(clips.speakers[clips.corpora == READ_SPEECH])) == 30
    emotions = [clip.utterance.emotion for clip in select_tested(labelled)]
    assert [[*Emotion][i] for i in clips.labels] == emotions


def test_the_stored_predictions_are_what_the_page_says(tmp_path, capsys):
    assert study.main(["report", "--out", str(tmp_path)]) == 0

    printed = capsys.readouterr().out
    page = (DATA.parent / "README.md").read_text("utf-8")
    for line in printed.strip().splitlines():
        assert line in page
    for name in ("scores.csv", "costs.csv"):
        stored = (DATA / name).read_text("utf-8")
        assert (tmp_path / "data" / name).read_text("utf-8") == stored
    assert (tmp_path / "peers.png").stat().st_size > 10_000


def test_the_stored_predictions_are_small():
    assert sum(f.stat().st_size for f in DATA.iterdir()) < 3_000_000


def test_errors_are_one_line(tmp_path, capsys):
    assert study.main(["report", "--predictions", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1

    words = ["run", "nothing", "--data", str(tmp_path), "--cache", str(tmp_path)]
    assert study.main(words) == 1
    assert "has no system 'nothing'" in capsys.readouterr().err


def test_a_table_that_is_none_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n", "utf-8")

    with pytest.raises(CorpusError, match="no table of clips"):
        read_table(path)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")


def test_probabilities_round_trip(tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    ids = [f"a/{i}" for i in range(5)]
    write_probabilities(tmp_path / "out.csv", ids, p, Cost(5, 6, 7.0))

    np.testing.assert_allclose(
        read_probabilities(tmp_path / "out.csv", ids), p, atol=1e-5
    )
    assert json.loads((tmp_path / "out.json").read_text("utf-8")) == {
        "n_bytes": 5,
        "n_parameters": 6,
        "ms_per_s": 7.0,
    }


def test_every_system_of_the_page_can_be_run():
    for system in read_systems().values():
        words = [
            word.format(python=sys.executable, data="d", cache="c")
            for word in shlex.split(system.command)
        ]
        for word in words:
            if word.endswith(".toml"):
                assert (ROOT / word).is_file()
