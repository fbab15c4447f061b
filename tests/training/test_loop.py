import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.errors import TrainingError  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    DiscriminantConfig,
    ExperimentConfig,
    LossConfig,
    SignalConfig,
    StageConfig,
)
from espressivo.training.corpora.utterance import Utterance  # noqa: E402
from espressivo.training.dataset import (  # noqa: E402
    TrainingBatches,
    draw_weights,
    load_signals,
)
from espressivo.training.experiment import load_run, train  # noqa: E402
from espressivo.training.loop import parameter_groups, warmup_cosine  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.objective import Objective, reverse_gradient  # noqa: E402
from espressivo.training.prediction import predict  # noqa: E402
from espressivo.types import Emotion  # noqa: E402

HZ = {"anger": 900, "happiness": 600, "neutral": 300, "sadness": 150}


def write_clip(path, hz, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(int(rng.uniform(0.5, 0.8) * 16_000)) / 16_000
    signal = 0.3 * np.sin(2 * np.pi * hz * time) + 0.02 * rng.standard_normal(len(time))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((signal * 32_767).astype(np.int16).tobytes())


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for n, emotion in enumerate(list(Emotion) * 3):
        path = folder / f"{n}.wav"
        write_clip(path, HZ[emotion], n)
        corpus = "many" if n < 8 else "few"
        speaker = f"{corpus}/{n % 2}"
        found.append(
            Utterance(f"{corpus}/{n}", path, speaker, speaker, emotion, corpus)
        )
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    encoder = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    network = NetworkConfig(n_layers=1)
    torch.manual_seed(0)
    save_file(build_network(network).encoder.state_dict(), encoder)
    return ExperimentConfig(
        name="small",
        encoder=encoder,
        corpora={},
        head=StageConfig(epochs=1, draws=8, batch_size=4),
        finetune=StageConfig(
            epochs=3, draws=8, batch_size=4, encoder_rate=1e-4, towards_start=0.01
        ),
        signal=SignalConfig(crop_s=0.6),
        network=network,
        loss=LossConfig(adversary=0.1),
        bfloat16=False,
        threads=1,
    )


class KilledError(Exception):
    pass


def kill_after(stage, epoch):
    def on_epoch(report):
        if (report.stage, report.epoch) == (stage, epoch):
            raise KilledError

    return on_epoch


def test_a_run_leaves_what_it_was(tmp_path, utterances, config):
    reports = []
    network = train(config, utterances, tmp_path / "run", on_epoch=reports.append)
    assert [(r.stage, r.epoch) for r in reports] == [
        ("head", 1),
        ("finetune", 1),
        ("finetune", 2),
        ("finetune", 3),
    ]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.toml", "run.json", "metrics.jsonl", "model.safetensors"}
    lines = (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 1, 2, 3]
    run = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert run["utterances"]["few/anger"] == 1
    signals = load_signals(utterances)
    np.testing.assert_array_equal(
        predict(load_run(tmp_path / "run"), signals), predict(network, signals)
    )


@pytest.mark.parametrize("where", [("head", 1), ("finetune", 1), ("finetune", 3)])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, utterances, config, where):
    whole = train(config, utterances, tmp_path / "whole").state_dict()
    with pytest.raises(KilledError):
        train(config, utterances, tmp_path / "cut", on_epoch=kill_after(*where))
    resumed = train(config, utterances, tmp_path / "cut").state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=0, rtol=0)


def test_the_classifier_in_closed_form_needs_no_epochs(tmp_path, utterances, config):
    frozen = replace(
        config,
        head=replace(config.head, epochs=0),
        finetune=replace(config.finetune, epochs=0),
        discriminant=DiscriminantConfig(fit=True),
    )
    network = train(frozen, utterances, tmp_path)
    truth = [list(Emotion).index(u.emotion) for u in utterances]
    logits = predict(network, load_signals(utterances))
    assert logits.argmax(1).tolist() == truth
    np.testing.assert_array_equal(
        predict(load_run(tmp_path), load_signals(utterances)), logits
    )


def test_another_seed_is_another_model(tmp_path, utterances, config):
    one = train(config, utterances, tmp_path / "0")
    two = train(replace(config, seed=1), utterances, tmp_path / "1")
    assert not torch.equal(one.classify.weight, two.classify.weight)


def test_validation_is_recorded_and_changes_nothing(tmp_path, utterances, config):
    held_out = [replace(u, speaker="other") for u in utterances[:4]]
    reports = []
    seen = train(
        config, utterances, tmp_path / "a", validation=held_out, on_epoch=reports.append
    )
    unseen = train(config, utterances, tmp_path / "b")
    assert all(0 <= report.mean_recall <= 1 for report in reports)
    torch.testing.assert_close(seen.classify.weight, unseen.classify.weight)


def test_what_cannot_be_trained_is_refused(tmp_path, utterances, config):
    with pytest.raises(TrainingError, match="no utterance to train on is anger"):
        train(config, [u for u in utterances if u.emotion != "anger"], tmp_path / "a")
    with pytest.raises(TrainingError, match="speakers trained on and validated on"):
        train(config, utterances, tmp_path / "b", validation=utterances[:1])
    with pytest.raises(TrainingError, match="finish the run"):
        load_run(tmp_path)


def test_another_configuration_needs_another_folder(tmp_path, utterances, config):
    with pytest.raises(KilledError):
        train(config, utterances, tmp_path, on_epoch=kill_after("head", 1))
    with pytest.raises(TrainingError, match="run of another configuration"):
        train(replace(config, seed=1), utterances, tmp_path)
    (tmp_path / "head.checkpoint").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="is no checkpoint of this experiment"):
        train(config, utterances, tmp_path)


def test_signals_come_from_the_cache_until_the_recording_changes(tmp_path, utterances):
    clip = tmp_path / "clip.wav"
    clip.write_bytes(Path(utterances[0].path).read_bytes())
    one = [replace(utterances[0], path=clip)]
    (first,) = load_signals(one, cache=tmp_path / "cache")
    (again,) = load_signals(one, cache=tmp_path / "cache")
    np.testing.assert_array_equal(first, again)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1
    write_clip(clip, 500, 99)
    (changed,) = load_signals(one, cache=tmp_path / "cache")
    assert not np.array_equal(changed, first)


def test_batches_repeat_by_epoch_and_differ_between(utterances, config):
    batches = TrainingBatches(utterances, load_signals(utterances), config)
    first, again, other = (list(batches.epoch(config.head, e)) for e in (0, 0, 1))
    assert sum(len(batch.target) for batch in first) == config.head.draws
    for one, two in zip(first, again, strict=True):
        torch.testing.assert_close(one.samples, two.samples, atol=0, rtol=0)
    assert not all(
        one.samples.shape == two.samples.shape and torch.equal(one.samples, two.samples)
        for one, two in zip(first, other, strict=True)
    )


def test_corpora_are_drawn_alike(utterances):
    weights = draw_weights(utterances, "corpus-class")
    share = {"many": 0.0, "few": 0.0}
    for utterance, weight in zip(utterances, weights, strict=True):
        share[utterance.corpus] += weight
    assert share["many"] == pytest.approx(share["few"])
    assert weights.sum() == pytest.approx(1)


def test_frozen_parts_stay_and_lower_blocks_learn_slower():
    network = build_network(NetworkConfig(n_layers=3))
    objective = Objective(network, LossConfig(), n_speakers=2)
    stage = StageConfig(
        epochs=1, draws=1, encoder_rate=1.0, layer_decay=0.5, n_frozen=1
    )
    groups = parameter_groups(objective, stage)
    rates = {id(p): g["lr"] for g in groups for p in g["params"]}
    blocks = network.encoder.blocks
    assert rates[id(blocks[2].mlp[0].weight)] == 1.0
    assert rates[id(blocks[1].mlp[0].weight)] == 0.5
    assert not any(p.requires_grad for p in blocks[0].parameters())
    assert not any(p.requires_grad for p in network.encoder.conv1.parameters())


def test_adversary_pulls_the_network_the_other_way(utterances, config):
    batches = TrainingBatches(utterances, load_signals(utterances), config)
    (batch, *_) = batches.epoch(config.head, 0)
    torch.manual_seed(0)
    network = build_network(config.network).eval()
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        objective = Objective(network, LossConfig(adversary=weight), 3)
        objective.adversary.load_state_dict(
            {
                k: torch.ones_like(v) / 9
                for k, v in objective.adversary.state_dict().items()
            }
        )
        network.zero_grad()
        objective(batch).backward()
        gradients.append(network.encoder.conv2.weight.grad.clone())
    once, twice = gradients[1] - gradients[0], gradients[2] - gradients[0]
    torch.testing.assert_close(twice, 2 * once, atol=1e-5, rtol=1e-3)


def test_reversed_gradient():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x)
    torch.testing.assert_close(y, x)
    (y * torch.tensor([3.0, 4.0])).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([-3.0, -4.0]))


def test_rate_rises_then_falls_to_nothing():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = warmup_cosine(optimizer, 100, 0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates.index(max(rates)) in (9, 10)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01
