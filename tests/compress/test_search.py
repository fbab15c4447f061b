"""`espressivo compress search`: studies on tones, with very small students."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib

import pytest
from optuna.trial import TrialState

from espressivo.bench.window_runner import open_samples_graph
from espressivo.cli.main import build_parser, main
from espressivo.model.session import session_options
from espressivo.training.clips.batches import make_batches
from espressivo.training.clips.feature_cache import FeatureExtractor
from espressivo.training.clips.load import load_clips
from espressivo.training.compress.search.costs import int8_graph
from espressivo.training.compress.search.space import shapes_of
from espressivo.training.compress.search.trials import (
    TRIALS,
    Plan,
    finish_trial,
    next_trial,
    open_study,
)
from espressivo.training.config import read_config
from espressivo.training.corpora import read_corpus
from espressivo.training.fit.predict import predict_clips
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.network import count_parameters
from espressivo.training.runs.folder import load_run
from espressivo.training.scores.metrics import score
from espressivo.training.scores.temperature import softmax
from tests.training.experiments import HZ, write_clip

RECIPE = """
name = "student"
threads = 1

[corpora]
emodb = "emodb"
tess = "tess"

[network]
kind = "separable"
width = 8
n_layers = 1

[augmentation]
probability = 0

[training]
epochs = 9
batch_size = 8

[search]
epochs = 1
width = [8, 16]
n_layers = [1, 2]
"""
SPACE = {"width": [8, 16], "n_layers": [1, 2]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two corpora of tones, a recipe of students, and a teacher of one corpus."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("emodb", "tess"):
        (folder / name).mkdir()
    for n, (emotion, hz) in enumerate(HZ.items()):
        for speaker in ("03", "08", "09"):
            letter = {"anger": "W", "happiness": "F", "neutral": "N", "sadness": "T"}
            path = folder / f"emodb/{speaker}a01{letter[emotion]}a.wav"
            write_clip(path, hz, int(speaker) + n)
        for speaker in ("OAF", "YAF"):
            word = {"anger": "angry", "happiness": "happy", "sadness": "sad"}
            name = f"tess/{speaker}_back_{word.get(emotion, emotion)}.wav"
            write_clip(folder / name, 1.1 * hz, n)
    (folder / "recipe.toml").write_text(RECIPE)
    args = ["train", str(folder / "recipe.toml"), "--out", str(folder / "teacher")]
    assert main([*args, "--leave-out", "tess", "--set", "network.width=64"]) == 0
    return folder


@pytest.fixture
def arguments(lab, tmp_path):
    """Words of the command, with all that it needs."""
    return [
        *("compress", "search", str(lab / "recipe.toml")),
        *("--teacher", str(lab / "teacher"), "--leave-out", "tess"),
        *("--study", str(tmp_path / "study")),
    ]


def refusal(arguments, capsys):
    """Return the one line of a command that fails."""
    capsys.readouterr()
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.strip()


def finished(study):
    """Return the trials that are finished."""
    with open_study(study) as opened:
        return opened.get_trials(states=(TrialState.COMPLETE,))


def read_front(study):
    with (study / "front.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_study_ends_with_its_pareto_front(lab, arguments, tmp_path, capsys):
    study = tmp_path / "study"
    assert main([*arguments, "--trials", "4"]) == 0
    out, err = capsys.readouterr()

    trials = finished(study)
    assert len({tuple(t.params.items()) for t in trials}) == 4
    assert len(re.findall(r"width \d+, n_layers \d: UA", err)) == 4
    # The front as defined: nobody is at least as good in all and better in one.
    points = [(-t.values[0], *t.values[1:]) for t in trials]
    best = [
        trial.params
        for trial, point in zip(trials, points, strict=True)
        if not any(
            other != point and all(o <= p for o, p in zip(other, point, strict=True))
            for other in points
        )
    ]
    rows = read_front(study)
    shapes = [{"width": int(r["width"]), "n_layers": int(r["n_layers"])} for r in rows]
    assert sorted(map(str, shapes)) == sorted(map(str, best))
    assert [float(r["megabytes"]) for r in rows] == sorted(
        float(r["megabytes"]) for r in rows
    )
    assert (study / "front.png").read_bytes().startswith(b"\x89PNG")
    for row, shape in zip(rows, shapes, strict=True):
        assert f"{float(row['ua']):.1f}%" in out
        run = study / TRIALS / f"width-{shape['width']}_n_layers-{shape['n_layers']}"
        assert read_config(run / "config.toml").training.epochs == 1
        assert float(row["ua"]) == pytest.approx(100 * ua_of(run, lab), abs=0.01)
        assert int(row["parameters"]) == count_parameters(load_run(run))[0]

    # The command of every student is one that `distil` takes, in full length.
    with (study / "front.toml").open("rb") as file:
        front = tomllib.load(file)["front"]
    for entry, shape in zip(front, shapes, strict=True):
        assert entry["command"] in out.replace("\n", " ")
        settings = NetworkConfig(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in entry["network"].items()
            }
        )
        assert build_network(settings).config.width == shape["width"]
        words = shlex.split(entry["command"])[1:]
        wanted = build_parser("compress").parse_args(words)
        config = read_config(wanted.config, wanted.settings)
        assert config.training.epochs == 9
        assert config.network == settings


def ua_of(run, lab):
    """Return the UA of a run on the corpus that was left out."""
    config = read_config(run / "config.toml")
    clips, _ = load_clips(read_corpus("tess", lab / "tess"), config.signal)
    batches = make_batches(FeatureExtractor(load_run(run)), clips, config)
    return score(batches.labels, softmax(predict_clips(batches))).ua


def test_a_study_goes_on_where_it_was(arguments, tmp_path):
    study = tmp_path / "study"
    assert main([*arguments, "--trials", "2"]) == 0
    first = {trial.number: trial.params for trial in finished(study)}
    costs = (study / "costs.json").read_bytes()
    assert len(first) == 2
    assert main([*arguments, "--trials", "2"]) == 0
    assert {t.number: t.params for t in finished(study)} == first
    assert main([*arguments, "--trials", "3"]) == 0
    later = {trial.number: trial.params for trial in finished(study)}
    assert len(later) == 3
    assert later.items() >= first.items()
    # No more than the space has; costs are measured once.
    assert main([*arguments, "--trials", "50"]) == 0
    assert len(finished(study)) == 4
    assert (study / "costs.json").read_bytes() == costs


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_study_resumes_in_the_middle_of_a_trial(arguments, tmp_path, workers):
    study = tmp_path / "study"
    words = [*arguments, "--workers", str(workers)]
    for setting in ("width=[8]", "n_layers=[1]", "epochs=80"):
        words += ["--set", f"search.{setting}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "espressivo", *words], stderr=subprocess.DEVNULL
    )
    try:
        while not list(study.glob(f"{TRIALS}/*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    (metrics,) = study.glob(f"{TRIALS}/*/metrics.jsonl")
    before = metrics.read_text().splitlines()
    assert 0 < len(before) < 80
    with open_study(study) as opened:
        (running,) = opened.get_trials(states=(TrialState.RUNNING,))

    assert main(words) == 0
    (trial,) = finished(study)
    assert trial.params == running.params
    after = metrics.read_text().splitlines()
    assert len(after) == 80
    # Seconds and all: the epochs before the kill were not trained again.
    assert after[: len(before)] == before


def test_several_processes_train_each_shape_once(arguments, tmp_path):
    study = tmp_path / "study"
    assert main([*arguments, "--trials", "4", "--workers", "2"]) == 0
    trials = finished(study)
    assert len(trials) == 4
    assert {(t.params["width"], t.params["n_layers"]) for t in trials} == {
        (width, n) for width in SPACE["width"] for n in SPACE["n_layers"]
    }
    assert len(list((study / TRIALS).glob("*/model.safetensors"))) == 4


def test_a_shape_that_is_trained_is_no_other_process_s(tmp_path):
    (tmp_path / TRIALS).mkdir()
    plan = Plan(SPACE, shapes_of(SPACE), 3, seed=0)
    with next_trial(tmp_path, plan) as one, next_trial(tmp_path, plan) as two:
        assert one.shape != two.shape
        finish_trial(tmp_path, two, (0.5, 1.0, 1.0))
        with next_trial(tmp_path, plan) as three:
            assert three.shape not in (one.shape, two.shape)
            with next_trial(tmp_path, plan) as four:
                assert four is None  # three are begun
    # Of the three, those that were not finished count as killed, and come again.
    with next_trial(tmp_path, plan) as five, next_trial(tmp_path, plan) as six:
        assert [five.shape, six.shape] == [one.shape, three.shape]


def test_proposals_repeat_with_the_seed(tmp_path):
    def proposed(folder, seed):
        (folder / TRIALS).mkdir(parents=True)
        space = {"width": list(range(8, 208, 8)), "n_layers": [1, 2, 3]}
        plan = Plan(space, shapes_of(space), 3, seed)
        found = []
        for _ in range(3):
            with next_trial(folder, plan) as trial:
                found.append(trial.shape)
                finish_trial(folder, trial, (0.5, 1.0, 1.0))
        return found

    first = proposed(tmp_path / "a", 0)
    assert proposed(tmp_path / "b", 0) == first
    assert proposed(tmp_path / "c", 1) != first


def test_only_shapes_within_the_budget_are_trained(lab, arguments, tmp_path):
    config = read_config(lab / "recipe.toml")
    sizes = {
        (s["width"], s["n_layers"]): len(int8_graph(config, s)) / 1e6
        for s in shapes_of(SPACE)
    }
    most = sizes[8, 2]
    assert sizes[8, 1] < most < sizes[16, 1]
    assert main([*arguments, "--megabytes", str(most)]) == 0
    trained = {tuple(t.params.values()) for t in finished(tmp_path / "study")}
    assert trained == {(8, 1), (8, 2)}
    # Another budget goes on with the same study.
    assert main(arguments) == 0
    assert len(finished(tmp_path / "study")) == 4


def test_a_graph_is_int8_and_takes_samples(lab):
    config = read_config(lab / "recipe.toml")
    graph = int8_graph(config, {"width": 64, "n_layers": 2})
    session = open_samples_graph(graph, session_options())
    assert {o.name for o in session.get_outputs()} >= {"probabilities", "embedding"}


@pytest.mark.parametrize("option", ["--megabytes", "--milliseconds"])
def test_an_impossible_budget_names_the_nearest_shape(arguments, capsys, option):
    found = refusal([*arguments, option, "0.001"], capsys)
    assert "costs at most 0.001 M" in found or "costs at most 0.001 ms" in found
    assert re.search(
        r"the nearest is width \d+, n_layers \d, [\d.]+ MB and [\d.]+ ms", found
    )
    if option == "--megabytes":
        assert "width 8, n_layers 1" in found


def test_another_study_in_the_folder_is_refused(lab, arguments, tmp_path, capsys):
    assert main([*arguments, "--trials", "1"]) == 0
    study = tmp_path / "study"
    for settings, told in (
        (["search.width=[8, 24]"], "space width [8, 16], not space width [8, 24]"),
        (["search.epochs=2"], "recipe search.epochs 1, not recipe search.epochs 2"),
        (
            ["network.dropout=0.1"],
            "recipe network dropout 0.2, not recipe network dropout 0.1",
        ),
    ):
        words = [word for setting in settings for word in ("--set", setting)]
        found = refusal([*arguments, *words], capsys)
        assert found == (
            f"{study}: holds a study with {told}; pass another --study, or remove it"
        )
    other = tmp_path / "other"
    train = ["train", str(lab / "recipe.toml"), "--out", str(other)]
    wide = ["--leave-out", "tess", "--set", "network.width=72"]
    assert main([*train, *wide]) == 0
    words = [str(other) if w == str(lab / "teacher") else w for w in arguments]
    assert "holds a study with teacher student " in refusal(words, capsys)
    # A recording that has changed, and a corpus that lies elsewhere.
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (lab / "tess").iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    elsewhere = [*arguments, "--trials", "1", "--corpus", f"tess={moved}"]
    assert main(elsewhere) == 0
    write_clip(moved / "OAF_back_sad.wav", 500, 5)
    assert "recordings tess" in refusal(elsewhere, capsys)
    assert [t.params for t in finished(study)]  # the study stays as it was


def test_what_cannot_be_searched_is_refused(lab, arguments, tmp_path, capsys):
    without = arguments[: arguments.index("--leave-out")]
    study = ["--study", str(tmp_path / "study")]
    found = refusal([*without, *study], capsys)
    assert found.startswith("no corpus is left out to score students on; name one")
    found = refusal([*without, "--leave-out", "emodb", *study], capsys)
    assert "teacher: was trained on emodb, which is left out" in found
    for settings, told in (
        ("search.width=[8, 64]", "student of width 64, n_layers 2 has "),
        ("search.width=[8, 8]", "search.width is [8, 8]; name each value once"),
        (f"search.width={[8 * n for n in range(1, 200)]}", "[search] has 398 shapes"),
        ("search.width=[12]", "network.width is 12; choose a multiple of 8"),
    ):
        assert told in refusal([*arguments, "--set", settings], capsys)
    other = ["--set", "network.kind=statistics"]
    for name in ("width", "n_layers"):
        other += ["--set", f"search.{name}=[]", "--set", f"network.{name}=0"]
    found = refusal([*arguments, *other], capsys)
    assert "[search] names nothing to search, and network.kind 'statistics'" in found
    for path in (lab / "tess").glob("*_sad.wav"):
        path.rename(path.with_suffix(".away"))
    try:
        found = refusal(arguments, capsys)
    finally:
        for path in (lab / "tess").glob("*.away"):
            path.rename(path.with_suffix(".wav"))
    assert found.startswith("corpus 'tess' has no sadness, so that its UA")
    assert not list((tmp_path / "study").glob(f"{TRIALS}/*"))


def test_a_damaged_study_is_one_line(arguments, tmp_path, capsys):
    assert main([*arguments, "--trials", "1"]) == 0
    study = tmp_path / "study"
    (study / "study.db").write_bytes(b"no database, but a text" * 100)
    found = refusal(arguments, capsys)
    assert found.startswith(f"{study / 'study.db'}: cannot be read or written (")
    (study / "study.json").write_text("{")
    assert "study.json: is no JSON" in refusal(arguments, capsys)


def test_a_study_that_cannot_be_written_is_one_line(arguments, tmp_path, capsys):
    (tmp_path / "study").write_text("a file")
    assert str(tmp_path / "study") in refusal(arguments, capsys)
    if os.geteuid() == 0:  # who may write everywhere
        return
    (tmp_path / "study").unlink()
    (tmp_path / "study").mkdir(mode=0o500)
    assert "cannot be read or written" in refusal(arguments, capsys)


def test_without_optuna_the_extra_is_named(arguments, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert refusal(arguments, capsys) == (
        "optuna is not installed, which this command needs; "
        'run: pip install "espressivo[train]"'
    )


def test_the_names_of_a_study_may_hold_anything(tmp_path):
    folder = tmp_path / "50 % of #1? ä"
    (folder / TRIALS).mkdir(parents=True)
    with next_trial(folder, Plan(SPACE, shapes_of(SPACE), 1, seed=0)) as trial:
        finish_trial(folder, trial, (0.5, 1.0, 1.0))
    assert (folder / "study.db").is_file()
    assert [t.values for t in finished(folder)] == [[0.5, 1.0, 1.0]]
