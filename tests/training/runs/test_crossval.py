import json
import resource
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import compress

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from pyarrow import parquet  # noqa: E402

from espressivo.cli.main import main  # noqa: E402
from espressivo.errors import CorpusError, TrainingError  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    LossConfig,
    TrainingConfig,
    to_toml,
)
from espressivo.training.folds.protocol import ProtocolConfig, make_folds  # noqa: E402
from espressivo.training.runs.crossval import CrossvalOptions, crossval  # noqa: E402
from espressivo.training.scores.crossval_results import read_results  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.training.experiments import small_config, small_corpus  # noqa: E402


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    found = small_corpus(tmp_path_factory.mktemp("clips"), n_speakers=4)
    return [
        replace(u, id=f"tones/{n:02}", corpus="tones", speaker=f"tones/{n // 4}")
        for n, u in enumerate(found)
    ]


@pytest.fixture(scope="module")
def folds(utterances):
    return make_folds(ProtocolConfig(kind="speaker"), utterances)


@pytest.fixture(scope="module")
def config():
    network = replace(small_config().network, dropout=0.5)
    return replace(
        small_config(),
        network=network,
        loss=LossConfig(weights="balanced"),
        training=TrainingConfig(epochs=2, batch_size=4, learning_rate=1e-2, warmup=0),
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory, config, folds):
    """An undisturbed run of four folds and two seeds."""
    folder = tmp_path_factory.mktemp("result")
    crossval(config, folds, folder, CrossvalOptions(seeds=(0, 1)))
    return folder


def rows(folder):
    return parquet.read_table(folder / "predictions.parquet").to_pydict()


def first_seed(folder, folds=None):
    """Rows of seed 0, of the given folds or of all."""
    table = rows(folder)
    wanted = {fold.name for fold in folds or ()} or {*table["fold"]}
    runs = list(zip(table["seed"], table["fold"], strict=True))
    kept = [seed == 0 and fold in wanted for seed, fold in runs]
    return {name: list(compress(values, kept)) for name, values in table.items()}


def test_every_utterance_is_tested_once_a_seed(result, utterances):
    table = rows(result)
    tested = Counter(
        (id_, seed)
        for id_, seed, part in zip(
            table["id"], table["seed"], table["part"], strict=True
        )
        if part == "test"
    )
    assert tested == {(u.id, seed): 1 for u in utterances for seed in (0, 1)}
    probabilities = np.array([table[str(emotion)] for emotion in Emotion])
    np.testing.assert_allclose(probabilities.sum(0), 1)
    top = [list(Emotion)[i] for i in probabilities.argmax(0)]
    assert table["predicted"] == top
    true = {u.id: u.emotion for u in utterances}
    assert table["emotion"] == [true[id_] for id_ in table["id"]]


def test_who_tested_did_not_train(result):
    table = parquet.read_table(result / "folds.parquet").to_pydict()
    parts = {}
    for fold, part, who in zip(
        table["fold"], table["part"], table["speaker"], strict=True
    ):
        parts.setdefault((fold, part), set()).add(who)
    for fold in {fold for fold, _ in parts}:
        train, validation, test = (
            parts[fold, part] for part in ("train", "validation", "test")
        )
        assert not train & validation | train & test | validation & test


def test_a_result_says_what_it_follows_from(result, config):
    described = json.loads((result / "crossval.json").read_text("utf-8"))
    assert described["seeds"] == [0, 1]
    assert described["protocol"] == "speaker-group"
    assert described["corpora"]["tones"]["utterances"] == 16
    assert described["class_weights"] == dict.fromkeys(map(str, Emotion), 1.0)
    assert described["n_trained"] <= described["n_parameters"]
    assert {"torch", "espressivo"} <= described["versions"].keys()
    results = read_results(result)
    assert not results.is_partial
    assert results.pooled["ua"] == pytest.approx(results.pooled["wa"])  # balanced


def test_two_processes_give_the_same_probabilities(result, config, folds, tmp_path):
    crossval(config, folds[:2], tmp_path, CrossvalOptions(jobs=2))
    assert rows(tmp_path) == first_seed(result, folds[:2])


def test_a_ray_cluster_of_two_workers_gives_the_same_probabilities(
    result, config, folds, tmp_path
):
    ray = pytest.importorskip("ray", reason="needs the extra 'cluster'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        crossval(config, folds, tmp_path, CrossvalOptions(engine="ray"))
    finally:
        ray.shutdown()
    assert rows(tmp_path) == first_seed(result)


def test_what_is_done_is_not_done_again(result, config, folds, utterances):
    before = {p: p.stat().st_mtime_ns for p in result.rglob("model.safetensors")}
    done = []

    class Watch:
        def on_epoch(self, *_):
            raise AssertionError("trained again")

        def on_done(self, task):
            done.append(task.name)

    crossval(config, folds, result, CrossvalOptions(seeds=(0, 1)), watch=Watch())
    assert len(done) == len(before) == 8
    assert {p: p.stat().st_mtime_ns for p in before} == before
    with pytest.raises(TrainingError, match="another configuration or other folds"):
        crossval(replace(config, name="other"), folds, result)
    with pytest.raises(TrainingError, match="another configuration or other folds"):
        crossval(config, folds[1:], result)


def test_killed_anywhere_the_same_command_ends_the_same(
    result, config, utterances, tmp_path
):
    lines = ["path,emotion,speaker,id,corpus"]
    lines += [
        f"{u.path},{u.emotion},{u.speaker.partition('/')[2]},{u.id},tones"
        for u in utterances
    ]
    (tmp_path / "tones.csv").write_text("\n".join(lines))
    manifest = {"manifest": tmp_path / "tones.csv"}
    listed = replace(config, corpora=manifest, protocol=ProtocolConfig(kind="speaker"))
    (tmp_path / "config.toml").write_text(to_toml(listed))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "espressivo", "crossval"]
    command += ["--out", str(out), "--", str(tmp_path / "config.toml")]

    for n_lines in (1, 4):  # within the first run, and within the second or third
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(n_lines):
                assert "seed-" in process.stderr.readline()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "predictions.parquet").exists()
    assert main(command[3:]) == 0

    columns = ("fold", "seed", "part", *map(str, Emotion))
    found, expected = rows(out), first_seed(result)
    assert [found[c] for c in columns] == [expected[c] for c in columns]
    assert not list(out.rglob("*.checkpoint"))
    assert (out / "report" / "report.html").is_file()


def test_a_full_disk_leaves_finished_folds_usable(config, folds, tmp_path):
    crossval(config, folds[:2], tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(TrainingError, match="2 runs are finished and stay usable"):
            crossval(config, folds[:2], tmp_path, CrossvalOptions(seeds=(0, 1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.rglob("*.partial"))
    results = read_results(tmp_path)
    assert results.is_partial
    assert set(results.predictions.seeds.tolist()) == {0}

    crossval(config, folds[:2], tmp_path, CrossvalOptions(seeds=(0, 1)))
    assert not read_results(tmp_path).is_partial


def test_an_unreadable_clip_is_named_and_counted(config, utterances, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF of nothing")
    extra = replace(utterances[0], id="tones/broken", path=broken)
    gone = replace(utterances[1], id="tones/gone", path=tmp_path / "gone.wav")
    folds = make_folds(ProtocolConfig(kind="speaker"), [*utterances, extra, gone])[:1]
    with pytest.raises(CorpusError, match=r"2 of the recordings .*--skip-unreadable"):
        crossval(config, folds, tmp_path / "out")

    crossval(config, folds, tmp_path / "out", CrossvalOptions(skip_unreadable=True))

    assert [f.id for f in read_results(tmp_path / "out").unreadable] == [
        "tones/broken",
        "tones/gone",
    ]
    assert not {"tones/broken", "tones/gone"} & set(rows(tmp_path / "out")["id"])


def test_a_new_seed_is_added_to_what_is_there(config, folds, tmp_path):
    crossval(config, folds[:1], tmp_path)
    crossval(config, folds[:1], tmp_path, CrossvalOptions(seeds=(7,)))
    assert set(rows(tmp_path)["seed"]) == {0, 7}
    names = {path.name for path in (tmp_path / folds[0].name).iterdir()}
    assert names == {"seed-0", "seed-7"}
