"""From recordings to a model folder that takes profiles, as users go."""

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
from espressivo.profile.profile import Profile
from espressivo.training.export import to_onnx
from espressivo.training.export.graph.profile_head import with_embedding
from espressivo.training.export.quantize.fp16 import to_fp16
from espressivo.training.export.session import open_proto
from espressivo.types import Emotion
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


def test_a_trained_model_takes_profiles(model):
    analyzer = espressivo.load_model(model)
    empty = Profile.new("me", analyzer.classifier)
    plain = analyzer.analyze(NOTE)
    first = analyzer.with_profile(empty).analyze(NOTE)
    profile = empty.merged(first, first)
    second = analyzer.with_profile(profile).analyze(NOTE)

    assert first.estimates == plain.estimates
    assert second.profile.without == plain.estimates
    assert second.profile.n_windows == 8
    assert 0 <= second.profile.trust < 1
    assert second.profile.distance < second.profile.distance_limit


def test_the_folder_says_that_it_takes_them(model, capsys):
    card = json.loads((model / "model.json").read_text())["profile"]
    report = json.loads((model / "export.json").read_text())

    assert (card["file"], card["width"]) == ("profile.onnx", 384)
    assert (card["patience"], card["discount"], card["spread"]) == (2.0, 0.7, 0.8)
    assert report["profile_parity"] < 1e-4
    assert report["profile_bytes"] == (model / "profile.onnx").stat().st_size
    assert "| profiles |" in (model / "export.md").read_text()
    assert main(["models", "verify", str(model)]) == 0
    assert "intact" in capsys.readouterr().out


def test_training_again_gives_the_same_head(trained, tmp_path, note):
    recipe = write_recipe(tmp_path, note)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 0

    name = "profile.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_one_speaker_is_too_few(tmp_path, note, capsys):
    recipe = write_recipe(tmp_path, note, n_speakers=1)

    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "1 of 1 speakers have utterances of all emotions" in err
    assert "set profile.fit = false" in err


def test_a_damaged_head_is_named(trained, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "profile.safetensors").write_bytes(b"?" * 100)

    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 1
    assert "train again in another folder" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


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
def test_every_network_gives_its_embedding(note, kind, choices, form):
    network = make_network(kind, **choices)
    samples = note[None, 30_000:80_000]
    graph = to_onnx(network)
    if form == "fp16":
        graph = to_fp16(graph)
    with torch.inference_mode():
        wanted = network.pooled(network.front(torch.tensor(samples))).numpy()

    given = with_embedding(graph, wanted.shape[1])
    found, plain = open_proto(given).run(
        ["embedding", "probabilities"], {"samples": samples}
    )

    allowed = (1e-4 if form == "fp32" else 0.05) * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, atol=allowed)
    (before,) = open_proto(graph).run(["probabilities"], {"samples": samples})
    np.testing.assert_array_equal(plain, before)
