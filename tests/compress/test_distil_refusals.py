"""What distillation refuses, and that a refusal leaves nothing behind."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import ConfigError, TrainingError  # noqa: E402
from espressivo.training.clips.load import load_clips  # noqa: E402
from espressivo.training.clips.parts import parts_of  # noqa: E402
from espressivo.training.compress.distil import distil  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    AugmentConfig,
    ClassifierConfig,
    DistillationConfig,
    SignalConfig,
    TrainingConfig,
)
from espressivo.training.networks import NetworkConfig  # noqa: E402
from espressivo.training.runs.train import train  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.training.experiments import small_config, small_corpus  # noqa: E402


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    # Three speakers of `many`: the last layer is fitted without each of them once.
    utterances = small_corpus(tmp_path_factory.mktemp("clips"), n_speakers=4)
    return load_clips(utterances, small_config().signal)[0]


def student(width):
    """Return a recipe of a separable network that learns in two epochs."""
    return replace(
        small_config(),
        signal=SignalConfig(),
        network=NetworkConfig(kind="separable", width=width, n_layers=1),
        augmentation=AugmentConfig(probability=0),
        training=TrainingConfig(epochs=2, batch_size=4),
        classifier=ClassifierConfig(fit="discriminant"),
        distillation=DistillationConfig(n_targets=8),
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, clips):
    """A run that knows both corpora, `many` and `few`."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    train(student(48), clips, run)
    return run


@pytest.fixture
def config():
    return student(8)


def test_a_refused_student_leaves_no_folder(tmp_path, clips, config, teacher):
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match="choose a smaller network"):
        distil(student(64), clips, run, teachers=[teacher])
    distil(config, clips, run, teachers=[teacher])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"epochs": 0}}, "training.epochs is 0, so that the student"),
        ({"distillation": {"temperature": 0.0}}, "temperature is 0.0, not a positive"),
        ({"distillation": {"temperature": float("nan")}}, "temperature is nan"),
        ({"distillation": {"n_targets": 0}}, "n_targets is 0; set it to 1 or more"),
        ({"distillation": {"embedding": -1.0}}, "embedding is -1.0; a weight is"),
        ({"distillation": {"embedding": 0.0, "logits": 0.0}}, "are both 0"),
        ({"augmentation": {"parts": -1}}, "augmentation.parts is -1; set it to 0"),
        ({"network": {"n_layers": -1}}, "network.n_layers is -1; choose 1 or more"),
        ({"signal": {"longest_s": 0.5}, "augmentation": {"parts": 2}}, "a part of a"),
    ],
)
def test_a_recipe_that_would_teach_nothing(tmp_path, clips, teacher, changes, message):
    config = student(8)
    for section, values in changes.items():
        part = replace(getattr(config, section), **values)
        config = replace(config, **{section: part})
    with pytest.raises(ConfigError, match=message):
        distil(config, clips, tmp_path / "run", teachers=[teacher])
    assert not (tmp_path / "run").exists()


def test_labels_that_the_last_layer_cannot_be_fitted_to(
    tmp_path, clips, config, teacher
):
    three = [c for c in clips if c.utterance.emotion != Emotion.SADNESS]
    with pytest.raises(TrainingError, match="no utterance to train on is sadness"):
        distil(config, three, tmp_path / "run", teachers=[teacher])
    levels = replace(config, network=replace(config.network, dimensions=("arousal",)))
    with pytest.raises(ConfigError, match="there are none; leave it out"):
        distil(levels, [], tmp_path / "run", teachers=[teacher], unlabelled=clips)
    assert not (tmp_path / "run").exists()


def test_what_a_teachers_teacher_knew_cannot_be_left_out(
    tmp_path, clips, config, teacher
):
    many = [clip for clip in clips if clip.utterance.corpus == "many"]
    few = [clip for clip in clips if clip.utterance.corpus == "few"]
    middle = tmp_path / "middle"
    distil(student(24), many, middle, teachers=[teacher])
    with pytest.raises(TrainingError, match="was trained on few, which is left out"):
        distil(config, many, tmp_path / "run", teachers=[middle], validation=few)
    distil(config, many, tmp_path / "run", teachers=[middle])
    run = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert [one["corpora"] for one in run["teachers"]] == [["many"], ["few", "many"]]


def test_a_damaged_teacher_is_one_line(tmp_path, clips, config, teacher):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in teacher.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(TrainingError, match=r"model\.safetensors: is damaged"):
        distil(config, clips, tmp_path / "run", teachers=[damaged])


def test_a_teacher_that_needs_to_know_who_speaks(tmp_path, clips, config):
    recipe = student(48)
    training = replace(recipe.training, speaker_statistics=True)
    recipe = replace(recipe, training=training)
    train(recipe, clips, tmp_path / "teacher")
    with pytest.raises(TrainingError, match="each speaker's own mean"):
        distil(config, clips, tmp_path / "run", teachers=[tmp_path / "teacher"])


def test_parts_of_recordings_are_refused_where_there_are_none(clips, config):
    with pytest.raises(ConfigError, match=r"augmentation\.parts is -2"):
        parts_of(clips, replace(config, augmentation=AugmentConfig(parts=-2)))
