"""Pruning end to end: small networks, real recordings, real run folders."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import CorpusError, TrainingError
from espressivo.model.classifier import load_classifier
from espressivo.training.compress.prune import PruneOptions, cost, prune_run
from espressivo.training.config import (
    AugmentConfig,
    ClassifierConfig,
    ExperimentConfig,
    to_toml,
)
from espressivo.training.export import ExportOptions, export_run
from espressivo.training.networks import NetworkConfig, build_network
from espressivo.training.networks.checkpoint import kind_settings
from espressivo.training.runs.folder import finish_run, load_run
from espressivo.types import Emotion
from tests.training.networks_to_export import shake
from tests.training.runs_to_export import write_corpus

WHISPER = {"width": 128, "n_blocks": 3}
SHIPPED = NetworkConfig(
    n_layers=3,
    frozen="all",
    states=(1, 2, 3),
    join="concatenate",
    head="mean",
    dimensions=("arousal",),
)
HUBERT = {
    "conv_dim": [16] * 7,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_attention_heads": 4,
    "num_conv_pos_embedding_groups": 4,
    "num_hidden_layers": 2,
}
FEW = {"n_steps": 2, "epochs": 1, "n_draws": 16, "n_calibration": 8}


@pytest.fixture(scope="module", autouse=True)
def _few_rounds():
    """Time the graphs in few rounds: no test depends on the seconds."""
    costs = pytest.importorskip("espressivo.training.export.checks.costs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_ROUNDS", 3)
        patch.setattr(cost, "_ROUNDS", 3)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, note):
    return write_corpus(tmp_path_factory.mktemp("mine"), note)


def make_random(network, settings=None):
    import torch

    torch.manual_seed(0)
    return shake(build_network(network, settings))


def write_run(folder, corpus, network=SHIPPED, settings=None, *, fit="discriminant"):
    """Write a run folder of a network whose encoder is random, as `train` does."""
    config = ExperimentConfig(
        name="small",
        corpora={"manifest": corpus},
        threads=1,
        network=network,
        augmentation=AugmentConfig(probability=0),
        classifier=ClassifierConfig(fit=fit),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(to_toml(config))
    counts = {f"mine/{emotion}": 4 for emotion in Emotion}
    described = {"name": "small", "utterances": counts, "encoder_sha256": None}
    (folder / "run.json").write_text(json.dumps(described))
    finish_run(folder, make_random(network, settings))
    return folder


@pytest.fixture(scope="module")
def whisper_run(tmp_path_factory, corpus):
    return write_run(tmp_path_factory.mktemp("run"), corpus, SHIPPED, WHISPER)


@pytest.fixture(scope="module")
def pruned(whisper_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("pruned") / "half"
    return out, prune_run(whisper_run, out, PruneOptions(share=0.5, **FEW))


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.encoder.parameters())


def test_the_parts_are_gone_from_the_network_and_from_the_graph(
    whisper_run, pruned, tmp_path
):
    out, report = pruned
    before, after = load_run(whisper_run), load_run(out)
    blocks = sum(p.numel() for p in before.encoder.blocks.parameters())
    left = sum(p.numel() for p in after.encoder.blocks.parameters())

    assert left <= 0.5 * blocks
    assert left > 0.4 * blocks
    assert report.n_prunable_before == blocks
    assert report.n_prunable_after == left
    assert report.costs.bytes_after < report.costs.bytes_before
    settings = json.loads((out / "encoder.json").read_text())
    counts = {layer.name: layer.n_after for layer in report.layers}
    assert settings["heads"] == [counts[f"blocks.{i}.heads"] for i in range(3)]
    assert settings["neurons"] == [counts[f"blocks.{i}.neurons"] for i in range(3)]


def test_a_pruned_run_is_a_run_as_any_other(pruned, tmp_path, note):
    out, report = pruned
    exported = tmp_path / "model"
    options = ExportOptions(n_calibration=8, n_checks=4)

    found = export_run(out, exported, options)

    # The graph with 16 calibrating recordings differs by nothing but ranges.
    assert found.bytes == pytest.approx(report.costs.bytes_after, rel=0.01)
    assert found.parity < 1e-5
    (row,) = load_classifier(exported)(note[None, :40_000])
    assert row.sum() == pytest.approx(1, abs=1e-5)
    assert json.loads((out / "run.json").read_text())["pruned"]["share"] == 0.5
    card = json.loads((exported / "model.json").read_text())
    assert card["made_by"]["run"]["pruned"]["share"] == 0.5
    assert not list(out.glob("*.checkpoint"))


def test_the_report_says_what_was_removed(pruned):
    out, report = pruned
    written = json.loads((out / "prune.json").read_text())
    text = (out / "prune.md").read_text()

    assert written["schema"] == "espressivo.prune/1"
    assert [step["step"] for step in written["steps"]] == [1, 2]
    assert sum(layer.importance for layer in report.layers) == pytest.approx(1)
    for layer in report.layers:
        assert f"| {layer.name} | {layer.n_before:,} | {layer.n_after:,} |" in text
    assert [step.n_parameters for step in report.steps] == sorted(
        (step.n_parameters for step in report.steps), reverse=True
    )


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "distilhubert"])
def test_transformers_of_the_hubert_family_are_pruned(kind, corpus, tmp_path):
    network = NetworkConfig(kind=kind, frozen="convolutions")
    settings = {**kind_settings(kind), **HUBERT}
    run = write_run(tmp_path / "run", corpus, network, settings, fit="gradient")

    report = prune_run(run, tmp_path / "out", PruneOptions(share=0.4, **FEW))

    found = load_run(tmp_path / "out").encoder.get_submodule("encoder.layers")
    left = sum(parameter.numel() for parameter in found.parameters())
    assert left == report.n_prunable_after <= 0.4 * report.n_prunable_before
    export_run(tmp_path / "out", tmp_path / "model", ExportOptions(precision="fp32"))


def test_channels_of_light_sernet_are_pruned(corpus, tmp_path):
    network = NetworkConfig(kind="light_sernet", padding="fixed", window_s=3.0)
    run = write_run(tmp_path / "run", corpus, network, fit="gradient")

    report = prune_run(run, tmp_path / "out", PruneOptions(share=0.5, **FEW))

    settings = json.loads((tmp_path / "out" / "encoder.json").read_text())
    assert settings["channels"] == [layer.n_after for layer in report.layers]
    assert min(settings["channels"]) >= 1
    assert report.n_parameters_after < report.n_parameters_before
    export_run(tmp_path / "out", tmp_path / "model", ExportOptions(precision="fp32"))


def test_a_budget_in_megabytes_is_met(whisper_run, pruned, tmp_path):
    wanted = pruned[1].costs.bytes_after / 1e6
    options = PruneOptions(megabytes=wanted, n_steps=1, epochs=0, n_calibration=8)

    report = prune_run(whisper_run, tmp_path / "out", options)

    assert 0.9 * wanted <= report.costs.bytes_after / 1e6 <= wanted


def test_recovery_brings_the_outputs_back(whisper_run, tmp_path):
    options = PruneOptions(
        share=0.5, n_steps=1, epochs=20, n_draws=16, n_calibration=4, learning_rate=1e-4
    )

    (step,) = prune_run(whisper_run, tmp_path / "out", options).steps

    assert step.distance_recovered < 0.5 * step.distance_removed
    assert step.change_recovered < step.change_removed


def test_a_pruned_run_can_be_pruned_again(pruned, tmp_path):
    out, report = pruned
    again = prune_run(out, tmp_path / "out", PruneOptions(share=0.5, **FEW))

    assert again.n_prunable_before == report.n_prunable_after
    assert again.n_prunable_after <= 0.5 * again.n_prunable_before


class Stopped(Exception):  # noqa: N818 - no error
    pass


def test_a_stopped_pruning_ends_as_an_uninterrupted_one(whisper_run, pruned, tmp_path):
    out = tmp_path / "out"

    def stop(step, done=0, total=0):
        if step == "step 2 of 2: importance":
            raise Stopped

    options = PruneOptions(share=0.5, **FEW)
    with pytest.raises(Stopped):
        prune_run(whisper_run, out, options, stop)
    assert (out / "prune.checkpoint").is_file()
    with pytest.raises(TrainingError, match="finish the run"):
        load_run(out)
    steps = []
    prune_run(whisper_run, out, options, lambda step, *_: steps.append(step))

    assert not any(step.startswith("step 1") for step in steps)
    wanted, found = (load_run(folder).state_dict() for folder in (pruned[0], out))
    assert wanted.keys() == found.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(tensor.numpy(), found[name].numpy())


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"megabytes": 0.001}, r"has \d\.\d\d MB with all removed .* at least that"),
        ({"megabytes": 50}, "unpruned; give less"),
    ],
)
def test_a_budget_that_cannot_be_met_names_the_nearest(
    whisper_run, tmp_path, budget, message
):
    with pytest.raises(TrainingError, match=message):
        prune_run(whisper_run, tmp_path / "out", PruneOptions(**budget, **FEW))
    assert not (tmp_path / "out").exists()


def test_the_least_share_of_light_sernet_is_named(corpus, tmp_path):
    network = NetworkConfig(kind="light_sernet", padding="fixed", window_s=3.0)
    run = write_run(tmp_path / "run", corpus, network, fit="gradient")

    with pytest.raises(TrainingError, match=r"must stay; give at least 0\.0"):
        prune_run(run, tmp_path / "out", PruneOptions(share=0.001, **FEW))


def test_what_cannot_be_pruned_is_refused(corpus, pruned, tmp_path, whisper_run):
    options = PruneOptions(share=0.5, **FEW)
    network = NetworkConfig(kind="statistics")
    run = write_run(tmp_path / "run", corpus, network)
    with pytest.raises(TrainingError, match="'statistics', which has no heads"):
        prune_run(run, tmp_path / "out", options)
    (run / "model.safetensors").unlink()
    with pytest.raises(TrainingError, match="finish the run"):
        prune_run(run, tmp_path / "out", options)
    with pytest.raises(TrainingError, match="no such folder"):
        prune_run(tmp_path / "nowhere", tmp_path / "out", options)
    with pytest.raises(TrainingError, match="holds a finished run"):
        prune_run(whisper_run, pruned[0], options)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="is no pruning that was stopped"):
        prune_run(whisper_run, tmp_path / "taken", options)
    missing = PruneOptions(
        share=0.5, corpora={"manifest": tmp_path / "gone.csv"}, **FEW
    )
    with pytest.raises(CorpusError, match="gone"):
        prune_run(whisper_run, tmp_path / "out", missing)
    assert not (tmp_path / "out").exists()
