"""From recordings to a model folder that adapts to speakers, as users go."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

import torch

import espressivo
from espressivo.cli.main import main
from espressivo.model.adaptation import AdaptationCard
from espressivo.profile.profile import Profile
from espressivo.training.export import to_onnx
from espressivo.training.export.graph.voice import with_voice
from espressivo.training.export.quantize.fp16 import to_fp16
from espressivo.training.export.session import open_proto
from espressivo.training.fit.voice_fit import VoiceProjection
from espressivo.training.runs.folder import load_run
from espressivo.types import Dimension, Emotion
from tests.conftest import NOTE
from tests.recordings import encode
from tests.training.networks_to_export import make_network

N_CLIPS = 24
RECIPE = """
name = "mine"
threads = 1
corpora.manifest = "mine.csv"
[network]
kind = "whisper"
n_layers = 1
head = "mean"
dimensions = ["valence", "arousal"]
[augmentation]
probability = 0
[classifier]
fit = "logistic"
[profile]
fit = true
"""


def write_recipe(folder, note, n_speakers=3):
    """Write clips of speakers who each show every emotion, twice, and the recipe."""
    lines = ["path,emotion,speaker"]
    for n in range(N_CLIPS):
        start = 5_000 + 14_000 * n
        encode(folder / f"{n}.wav", note[start : start + 12_000 + 300 * n])
        speaker = n * n_speakers // N_CLIPS
        lines.append(f"{n}.wav,{list(Emotion)[n % 4]},{speaker}")
    (folder / "mine.csv").write_text("\n".join(lines))
    (folder / "mine.toml").write_text(RECIPE)
    return folder / "mine.toml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, note):
    folder = tmp_path_factory.mktemp("mine")
    recipe = write_recipe(folder, note)
    assert main(["train", str(recipe), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(scope="module", params=["int8", "fp32"])
def model(request, tmp_path_factory, trained):
    out = tmp_path_factory.mktemp("models") / request.param
    options = ["--precision", request.param, "--calibration", "8"]
    assert main(["export", str(trained), "--out", str(out), *options]) == 0
    return out


def test_a_trained_model_adapts(model):
    analyzer = espressivo.load_model(model)
    empty = Profile.new("me", analyzer.classifier)
    plain = analyzer.analyze(NOTE)
    first = analyzer.with_profile(empty).analyze(NOTE)
    profile = empty.merged(first, first)
    second = analyzer.with_profile(profile).analyze(NOTE)

    assert first.estimates == plain.estimates
    assert second.estimates != plain.estimates
    card = analyzer.classifier.require_adaptation()
    assert first.voices.shape == (len(plain.estimates), card.n_columns)
    assert (first.voices[:, card.n_dims] == 0).all()  # it has no class for background


def test_the_folder_says_how_voices_differ(model, trained, capsys):
    card = json.loads((model / "model.json").read_text())
    report = json.loads((model / "export.json").read_text())
    projection = VoiceProjection.read(trained / "adaptation.safetensors")

    assert card["adaptation"] == projection.card.to_dict()
    assert "profile" not in card
    assert 0 <= report["voice_parity"] < 1e-3
    size = (model / "model.onnx").stat().st_size
    assert report["bytes"] == pytest.approx(size, abs=100)  # of the whole graph
    assert "| voice vectors |" in (model / "export.md").read_text()
    assert not (model / "profile.onnx").exists()
    assert main(["models", "verify", str(model)]) == 0
    assert "intact" in capsys.readouterr().out


def test_dimensions_are_those_of_the_network(model, trained, note):
    """Fitted to the order of emotions, exported, said so on the card."""
    classifier = espressivo.load_model(model).classifier
    network = load_run(trained)
    samples = note[None, :48_000]
    dimensions, embedding = classifier.run(samples, "dimensions", "embedding")
    with torch.inference_mode():
        frames = network.front(torch.tensor(samples))
        wanted, pooled = network.levels(frames), network.pooled(frames)

    precision = json.loads((model / "export.json").read_text())["precision"]
    loose = 1e-5 if precision == "fp32" else 0.1
    np.testing.assert_allclose(dimensions, wanted.numpy(), atol=loose)
    assert embedding.shape == pooled.shape
    assert classifier.card.dimensions == (Dimension.VALENCE, Dimension.AROUSAL)
    entry = classifier.card.details["dimensions"]["arousal"]
    assert entry["source"] == "order"
    assert "not from listeners' ratings" in entry["meaning"]
    whole = espressivo.load_model(model).analyze(NOTE).dimensions
    assert [*whole] == [Dimension.VALENCE, Dimension.AROUSAL]
    assert all(0 <= value <= 1 for value in whole.values())


def test_training_again_gives_the_same_projection(trained, tmp_path, note):
    recipe = write_recipe(tmp_path, note)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 0

    name = "adaptation.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_one_speaker_is_too_few(tmp_path, note, capsys):
    recipe = write_recipe(tmp_path, note, n_speakers=1)

    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "1 of 1 speakers have utterances of all emotions" in err
    assert "set profile.fit = false" in err


def test_a_damaged_projection_is_named(trained, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "adaptation.safetensors").write_bytes(b"?" * 100)

    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 1
    assert "train again in another folder" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def made_up(width, seed=0):
    """A projection of embeddings of any network."""
    rng = np.random.default_rng(seed)
    unit = np.eye(3)
    card = AdaptationCard(
        means=rng.normal(size=(4, 3)),
        speaker=np.stack([unit, unit]),
        setting=np.stack([unit, unit]),
        n_axes=8,
        distance_limit=4.0,
        spread_limit=9.0,
    )
    weight = rng.normal(size=(11, width)) / width
    return VoiceProjection(weight, rng.normal(size=11), card)


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("whisper", {"head": "mean", "n_layers": 1}),
        ("whisper", {"head": "statistics", "n_layers": 1}),
        ("distilhubert", {"head": "superb"}),
        ("wav2vec2", {"head": "pepino"}),
        ("light_sernet", {"window_s": 3.0, "padding": "fixed"}),
        ("statistics", {}),
    ],
)
@pytest.mark.parametrize("form", ["fp32", "fp16"])
@pytest.mark.parametrize("background", [False, True])
def test_every_network_gives_voices(note, kind, choices, form, background):
    network = make_network(kind, **choices)
    width = network.classify.in_features
    if background:
        floor = torch.randn(width, generator=torch.manual_seed(0)) * width**-0.5
        network.background.fit(floor, 0.5, 4)
    samples = note[None, 30_000:80_000]
    graph = to_onnx(network, 2.0)
    if form == "fp16":
        graph = to_fp16(graph)
    projection = made_up(width)
    with torch.inference_mode():
        pooled = network.pooled(network.front(torch.tensor(samples)))
        embedding = network.standardize(pooled)
        emotions = network.classify(embedding)
        floor = embedding @ network.background.weight + network.background.bias
    # One class more: the floor is its logit less log 4, see `Background`.
    every = torch.cat([emotions, floor[:, None] + np.log(4)], 1)
    noise = every.softmax(1)[:, 4].numpy()
    wanted = projection.voices(pooled.numpy(), noise)

    given = with_voice(graph, projection)
    voices, plain = open_proto(given).run(
        ["voice", "probabilities"], {"samples": samples}
    )

    assert [output.name for output in given.graph.output] == ["probabilities", "voice"]
    assert voices.dtype == np.float32
    assert (noise[0] > 0.01) == background
    allowed = (1e-4 if form == "fp32" else 0.05) * np.abs(wanted).max()
    np.testing.assert_allclose(voices, wanted, atol=allowed)
    (before,) = open_proto(graph).run(["probabilities"], {"samples": samples})
    np.testing.assert_array_equal(plain, before)
