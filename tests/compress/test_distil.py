import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.cli.main import main  # noqa: E402
from espressivo.errors import CorpusError, ExportError, TrainingError  # noqa: E402
from espressivo.training.clips.load import load_clips, load_unlabelled  # noqa: E402
from espressivo.training.clips.parts import parts_of  # noqa: E402
from espressivo.training.compress.distil import distil  # noqa: E402
from espressivo.training.compress.teachers import Outputs, Targets  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    AugmentConfig,
    ClassifierConfig,
    DistillationConfig,
    SignalConfig,
    TrainingConfig,
    to_toml,
)
from espressivo.training.corpora import read_corpus  # noqa: E402
from espressivo.training.export import ExportOptions, export_run  # noqa: E402
from espressivo.training.fit.lda import fit_lda  # noqa: E402
from espressivo.training.networks import NetworkConfig  # noqa: E402
from espressivo.training.runs.folder import load_run  # noqa: E402
from espressivo.training.runs.train import train  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.training.experiments import predict, small_config, small_corpus  # noqa: E402


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("clips"), n_speakers=4)


@pytest.fixture(scope="module")
def clips(utterances):
    return load_clips(utterances, small_config().signal)[0]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, clips):
    """A run that knows the corpus `many`, fitted in closed form."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    config = replace(
        small_config(),
        network=NetworkConfig(n_layers=1, head="statistics", frozen="all"),
        training=TrainingConfig(),
        classifier=ClassifierConfig(fit="discriminant"),
    )
    train(config, [c for c in clips if c.utterance.corpus == "many"], run)
    return run


@pytest.fixture
def config():
    return replace(
        small_config(),
        signal=SignalConfig(),
        network=NetworkConfig(kind="separable", width=16, n_layers=1),
        augmentation=AugmentConfig(probability=0, copies=("telephone",)),
        training=TrainingConfig(epochs=3, batch_size=4, learning_rate=5e-3),
        classifier=ClassifierConfig(fit="discriminant"),
        distillation=DistillationConfig(n_targets=8, labels=0.2),
    )


class KilledError(Exception):
    pass


def write_manifest(path, utterances):
    rows = [f"{u.path},{u.emotion},{u.speaker}" for u in utterances]
    path.write_text("\n".join(["path,emotion,speaker", *rows]))
    return path


def test_a_student_learns_what_its_teacher_gives(tmp_path, clips, config, teacher):
    config = replace(config, training=replace(config.training, epochs=12))
    reports = []
    network = distil(
        config, clips, tmp_path / "run", teachers=[teacher], on_epoch=reports.append
    )
    assert [report.stage for report in reports] == ["distillation"] * 12 + [
        "discriminant"
    ]
    losses = [report.loss for report in reports[:-1]]
    assert losses[-1] < 0.5 * losses[0]
    signals = [clip.signal for clip in clips]
    truth = [list(Emotion).index(clip.utterance.emotion) for clip in clips]
    logits = predict(load_run(tmp_path / "run"), signals)
    np.testing.assert_array_equal(logits, predict(network, signals))
    assert (logits.argmax(1) == truth).mean() > 0.8  # tones of four pitches


def test_its_run_is_exported_and_names_its_teacher(
    tmp_path, config, teacher, utterances
):
    manifest = write_manifest(tmp_path / "mine.csv", utterances)
    config = replace(config, corpora={"manifest": manifest})
    clips, _ = load_clips(read_corpus("manifest", manifest), config.signal)
    distil(config, clips, tmp_path / "run", teachers=[teacher])
    run = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    (described,) = run["teachers"]
    assert described["corpora"] == ["many"]
    export_run(
        tmp_path / "run",
        tmp_path / "model",
        ExportOptions(precision="fp32", corpora={"manifest": manifest}),
    )
    card = json.loads((tmp_path / "model/model.json").read_text("utf-8"))
    assert card["teachers"] == [described]
    assert card["starting_weights"]["license"] is None


def test_a_killed_run_resumes_to_the_same_weights(tmp_path, clips, config, teacher):
    def run(folder, cache=None, **more):
        return distil(
            config, clips, tmp_path / folder, teachers=[teacher], cache=cache, **more
        ).state_dict()

    def kill(report):
        if report.epoch == 2:
            raise KilledError

    whole = run("whole")
    with pytest.raises(KilledError):
        run("cut", on_epoch=kill)
    resumed = run("cut")
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=0, rtol=0)
    metrics = [
        [json.loads(line)["loss"] for line in path.read_text().splitlines()]
        for path in sorted(tmp_path.glob("*/metrics.jsonl"))
    ]
    assert metrics[0] == metrics[1]


def test_the_teachers_outputs_are_cached(tmp_path, clips, config, teacher):
    heard = []
    options = {"teachers": [teacher], "cache": tmp_path / "cache"}
    first = distil(
        config,
        clips,
        tmp_path / "1",
        on_teacher=lambda done, total: heard.append((done, total)),
        **options,
    )
    assert heard[-1] == (2 * len(clips), 2 * len(clips))  # as they are, and telephone
    (one, two) = sorted((tmp_path / "cache/teachers").iterdir())
    # Outputs of other clips: if they are read, another student comes out.
    np.save(two, np.load(one))
    np.save(one, np.load(one)[::-1])
    other = distil(config, clips, tmp_path / "2", **options)
    signals = [clip.signal for clip in clips]
    assert not np.allclose(predict(first, signals), predict(other, signals))


def test_unlabelled_recordings_alone(tmp_path, utterances, config, teacher):
    folder = utterances[0].path.parent
    unlabelled = load_unlabelled(folder, "podcasts", config.signal)
    config = replace(config, training=replace(config.training, epochs=30))
    student = distil(
        config, [], tmp_path / "run", teachers=[teacher], unlabelled=unlabelled
    )
    signals = [clip.signal for clip in unlabelled]
    taught = predict(load_run(teacher), signals).argmax(1)
    assert (predict(student, signals).argmax(1) == taught).mean() > 0.7
    run = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert run["utterances"] == {}
    assert run["target"]["recordings"] == len(unlabelled)
    options = {"precision": "fp32"}
    with pytest.raises(ExportError, match="pass --corpus podcasts=DIR"):
        export_run(tmp_path / "run", tmp_path / "model", ExportOptions(**options))
    folders = {"podcasts": folder}
    export_run(
        tmp_path / "run", tmp_path / "model", ExportOptions(corpora=folders, **options)
    )
    card = json.loads((tmp_path / "model/model.json").read_text("utf-8"))
    assert card["training_corpora"] == []
    assert [corpus["name"] for corpus in card["unlabelled_corpora"]] == ["podcasts"]
    with pytest.raises(CorpusError, match="holds no recordings"):
        load_unlabelled(tmp_path / "run", "run", config.signal)


def test_a_teacher_must_not_know_what_is_left_out(tmp_path, clips, config, teacher):
    many = [clip for clip in clips if clip.utterance.corpus == "many"]
    few = [clip for clip in clips if clip.utterance.corpus == "few"]
    with pytest.raises(TrainingError, match="was trained on many, which is left out"):
        distil(config, few, tmp_path / "run", teachers=[teacher], validation=many)
    assert not (tmp_path / "run").exists()
    distil(config, many, tmp_path / "run", teachers=[teacher], validation=few)
    lines = (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["mean_recall"] is not None for line in lines)


def test_what_is_refused(tmp_path, clips, config, teacher):
    with pytest.raises(TrainingError, match="nothing to distil from"):
        distil(config, [], tmp_path / "run", teachers=[teacher])
    with pytest.raises(TrainingError, match="there is no teacher; pass --teacher"):
        distil(config, clips, tmp_path / "run", teachers=[])
    large = replace(config, network=NetworkConfig(kind="separable", width=800))
    with pytest.raises(TrainingError, match="parameters, and its teacher"):
        distil(large, clips, tmp_path / "large", teachers=[teacher])
    distil(config, clips, tmp_path / "run", teachers=[teacher])
    with pytest.raises(TrainingError, match="holds a run of another configuration"):
        distil(config, clips, tmp_path / "run", teachers=[teacher, teacher])


def test_all_directions_together_lose_nothing_of_the_discriminant():
    rng = np.random.default_rng(0)
    labels, corpora = np.arange(400) % 4, [f"{i % 3}" for i in range(400)]
    rows = (rng.normal(size=(4, 12))[labels] + rng.normal(size=(400, 12))).astype(
        np.float32
    )
    outputs = [Outputs(rows, rows[:, :4])]
    targets = Targets.fit(outputs, labels, corpora, 12)
    directions, logits = targets.of(outputs)
    np.testing.assert_array_equal(logits, rows[:, :4])
    # Without a ridge, which depends on scales, the discriminant is the same in both.
    before, after = (
        part @ weight.T + bias
        for part, (weight, bias) in (
            (part, fit_lda(part, labels, corpora, ridge=0.0))
            for part in (rows, directions)
        )
    )
    np.testing.assert_allclose(
        after - after[:, :1], before - before[:, :1], atol=1e-3, rtol=1e-3
    )
    # The first ones hold most of it: three suffice for four classes.
    few = Targets.fit(outputs, labels, corpora, 3).of(outputs).embeddings
    weight, bias = fit_lda(few, labels, corpora, ridge=0.0)
    same = (few @ weight.T + bias).argmax(1) == before.argmax(1)
    assert same.mean() > 0.9


def test_parts_are_of_long_recordings_and_always_the_same(clips, config):
    config = replace(config, augmentation=replace(config.augmentation, parts=3))
    assert parts_of(clips, config) == []  # none is longer than 6 s
    signal = np.arange(100_000, dtype=np.float32)
    long = replace(clips[0], source=signal, n_samples=len(signal))
    parts = parts_of([long, *clips], config)
    assert len({part.utterance.id for part in parts}) == 3
    for part, again in zip(parts, parts_of([long], config), strict=True):
        np.testing.assert_array_equal(part.signal, again.signal)
        assert 16_000 <= part.n_samples == len(part.signal) <= 100_000
        start = int(part.signal[0])
        np.testing.assert_array_equal(part.signal, signal[start:][: part.n_samples])
        assert part.utterance.emotion == long.utterance.emotion


def test_the_command(tmp_path, utterances, config, teacher, capsys):
    manifest = write_manifest(tmp_path / "mine.csv", utterances)
    recipe = tmp_path / "student.toml"
    recipe.write_text(to_toml(replace(config, corpora={"manifest": manifest})))
    args = ["compress", "distil", str(recipe), "--teacher", str(teacher)]
    assert main([*args, "--out", str(tmp_path / "run")]) == 0
    out, err = capsys.readouterr()
    assert "next: espressivo export" in out
    assert "epoch 3/3" in err
    assert load_run(tmp_path / "run").config.width == 16
    assert main([*args, "--out", str(tmp_path / "run"), "--leave-out", "tess"]) == 1
    assert "has no corpus 'tess'" in capsys.readouterr().err
