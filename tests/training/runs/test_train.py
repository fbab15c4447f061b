import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from torch.nn.functional import cross_entropy  # noqa: E402

from espressivo.errors import TrainingError  # noqa: E402
from espressivo.training.clips.batches import Batch  # noqa: E402
from espressivo.training.clips.load import load_clips, load_signals  # noqa: E402
from espressivo.training.clips.sampling import (  # noqa: E402
    AugmentedClips,
    SampledClip,
)
from espressivo.training.config import (  # noqa: E402
    AugmentConfig,
    ClassifierConfig,
    LossConfig,
    TrainingConfig,
)
from espressivo.training.fit.objective import Objective  # noqa: E402
from espressivo.training.fit.optimizer import parameter_groups, rate_share  # noqa: E402
from espressivo.training.folds.weights import class_weights  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.runs.folder import load_run  # noqa: E402
from espressivo.training.runs.train import train  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.recordings import encode  # noqa: E402
from tests.training.experiments import (  # noqa: E402
    predict,
    small_config,
    small_corpus,
)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clips(utterances):
    return load_clips(utterances, small_config().signal)[0]


@pytest.fixture
def config():
    return small_config()


class KilledError(Exception):
    pass


def kill_after(epoch):
    def on_epoch(report):
        if report.epoch == epoch:
            raise KilledError

    return on_epoch


def test_a_run_leaves_what_it_was(tmp_path, clips, config):
    reports = []
    network = train(config, clips, tmp_path / "run", on_epoch=reports.append)
    assert [(r.stage, r.epoch) for r in reports] == [("gradient", n) for n in (1, 2, 3)]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    written = {"config.toml", "run.json", "metrics.jsonl", "model.safetensors"}
    assert names == written | {"encoder.json"}
    lines = (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    run = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    assert run["utterances"]["few/anger"] == 1
    signals = [clip.signal for clip in clips]
    np.testing.assert_array_equal(
        predict(load_run(tmp_path / "run"), signals), predict(network, signals)
    )


@pytest.mark.parametrize(
    ("epoch", "how"), [(1, "plain"), (1, "select"), (3, "select cached"), (1, "cached")]
)
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, clips, config, epoch, how):
    select, cached = "select" in how, "cached" in how
    if cached:
        config = replace(config, augmentation=AugmentConfig(variants=2))
    options = {"validation": clips[:4], "select": select}

    def run(folder, **more):
        cache = tmp_path / f"{folder}-cache" if cached else None
        return train(config, clips, tmp_path / folder, cache=cache, **options, **more)

    whole = run("whole").state_dict()
    with pytest.raises(KilledError):
        run("cut", on_epoch=kill_after(epoch))
    resumed = run("cut").state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=0, rtol=0)
    metrics = [
        [json.loads(line)["loss"] for line in path.read_text().splitlines()]
        for path in sorted(tmp_path.glob("*/metrics.jsonl"))
    ]
    assert metrics[0] == metrics[1]


def test_workers_do_not_change_what_is_heard(tmp_path, clips, config):
    varied = replace(config, augmentation=AugmentConfig())
    one = train(varied, clips, tmp_path / "0")
    two = train(replace(varied, workers=2), clips, tmp_path / "2")
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], tensor, atol=0, rtol=0)


def test_the_epoch_with_the_best_validation_is_kept_and_patience_ends(
    tmp_path, clips, config
):
    # At this rate the network is thrown about: it does not get better for ever.
    wild = replace(
        config,
        training=replace(config.training, epochs=12, patience=2, learning_rate=0.5),
    )
    reports = []
    network = train(
        wild,
        clips,
        tmp_path,
        validation=clips[4:],
        select=True,
        on_epoch=reports.append,
    )
    recalls = [report.mean_recall for report in reports]
    best = recalls.index(max(recalls))
    assert len(recalls) == best + 1 + 2 < 12
    logits = predict(network, [clip.signal for clip in clips[4:]])
    truth = np.array([list(Emotion).index(c.utterance.emotion) for c in clips[4:]])
    right = logits.argmax(1) == truth
    kept = np.mean([right[truth == c].mean() for c in range(4)])
    assert kept == pytest.approx(max(recalls))


@pytest.mark.parametrize("fit", ["discriminant", "logistic"])
def test_the_classifier_in_closed_form_needs_no_epochs(tmp_path, clips, config, fit):
    frozen = replace(
        config,
        training=TrainingConfig(epochs=0),
        classifier=ClassifierConfig(fit=fit),
    )
    network = train(frozen, clips, tmp_path)
    truth = [list(Emotion).index(clip.utterance.emotion) for clip in clips]
    signals = [clip.signal for clip in clips]
    logits = predict(network, signals)
    assert logits.argmax(1).tolist() == truth
    np.testing.assert_array_equal(predict(load_run(tmp_path), signals), logits)


def test_sound_without_speech_gets_even_probabilities(tmp_path, clips, config):
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal((4, 16_000)).astype(np.float32) / 10
    (tmp_path / "noise").mkdir()
    for n, samples in enumerate(hiss):
        encode(tmp_path / f"noise/{n}.wav", samples)
    taught = replace(
        config,
        training=TrainingConfig(epochs=0),
        augmentation=replace(config.augmentation, noise_folder=str(tmp_path / "noise")),
        classifier=ClassifierConfig(fit="discriminant", background=True),
    )
    network = train(taught, clips, tmp_path / "run")

    # The second and fourth recording were not trained on.
    rows = torch.from_numpy(predict(network, list(hiss[1::2]))).softmax(1)
    np.testing.assert_allclose(rows, 0.25, atol=0.05)
    truth = [list(Emotion).index(clip.utterance.emotion) for clip in clips]
    logits = predict(network, [clip.signal for clip in clips])
    assert logits.argmax(1).tolist() == truth
    again = predict(load_run(tmp_path / "run"), [clip.signal for clip in clips])
    np.testing.assert_array_equal(again, logits)


def test_the_temperature_is_fitted_to_corpora_left_out(tmp_path, clips, config):
    frozen = replace(
        config,
        training=TrainingConfig(epochs=0),
        classifier=ClassifierConfig(fit="discriminant"),
    )
    # The same clips as three corpora: each is known from the two others.
    three = [
        replace(
            clip,
            utterance=replace(
                clip.utterance, corpus=name, id=f"{name}/{clip.utterance.id}"
            ),
        )
        for name in ("one", "two", "three")
        for clip in clips
    ]

    # Without a mistake there is nothing to fit a temperature to.
    wrong = Emotion.ANGER
    if three[0].utterance.emotion == wrong:
        wrong = Emotion.SADNESS
    three[0] = replace(three[0], utterance=replace(three[0].utterance, emotion=wrong))

    train(frozen, three, tmp_path)

    fitted = json.loads((tmp_path / "temperature.json").read_text())
    names = [part["predictions"] for part in fitted["left_out"]]
    assert sorted(names) == ["one", "three", "two"]
    assert 0.01 < fitted["temperature"] < 100
    assert fitted["temperature"] != 1
    assert fitted["certainty"] is None  # too few answers to choose a threshold by


def test_copies_teach_what_clips_do_not_hold(tmp_path, clips, config):
    """A classifier of clear speech is at a loss on the telephone, unless told."""
    plain = replace(
        config,
        training=TrainingConfig(epochs=0),
        classifier=ClassifierConfig(fit="discriminant"),
    )
    both = replace(
        plain, augmentation=replace(plain.augmentation, copies=("telephone",))
    )
    labels = [list(Emotion).index(clip.utterance.emotion) for clip in clips]
    copies = AugmentedClips(clips, both, "telephone")
    heard = [copies.signal(SampledClip(i)) for i in range(len(clips))]

    losses = []
    for n, chosen in enumerate((plain, both)):
        network = train(chosen, clips, tmp_path / str(n))
        logits = torch.from_numpy(predict(network, heard))
        losses.append(float(cross_entropy(logits, torch.tensor(labels))))

    assert losses[1] < losses[0]


def test_another_seed_is_another_model(tmp_path, clips, config):
    one = train(config, clips, tmp_path / "0")
    two = train(replace(config, seed=1), clips, tmp_path / "1")
    assert not torch.equal(one.classify.weight, two.classify.weight)


def test_validation_for_the_record_changes_nothing(tmp_path, clips, config):
    reports = []
    seen = train(
        config, clips, tmp_path / "a", validation=clips[:4], on_epoch=reports.append
    )
    unseen = train(config, clips, tmp_path / "b")
    assert all(0 <= report.mean_recall <= 1 for report in reports)
    torch.testing.assert_close(seen.classify.weight, unseen.classify.weight)


def test_what_cannot_be_trained_is_refused(tmp_path, clips, config):
    calm = [clip for clip in clips if clip.utterance.emotion != "anger"]
    with pytest.raises(TrainingError, match="no utterance to train on is anger"):
        train(config, calm, tmp_path / "a")
    with pytest.raises(TrainingError, match="is no run"):
        load_run(tmp_path)


def test_another_configuration_needs_another_folder(tmp_path, clips, config):
    with pytest.raises(KilledError):
        train(config, clips, tmp_path, on_epoch=kill_after(1))
    with pytest.raises(TrainingError, match="run of another configuration"):
        train(replace(config, seed=1), clips, tmp_path)
    with pytest.raises(TrainingError, match="of other recordings"):
        train(config, clips[1:], tmp_path)
    (tmp_path / "training.checkpoint").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="is no checkpoint of this experiment"):
        train(config, clips, tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path, clips, config):
    other = replace(config, network=replace(config.network, head="mean"))
    for folder, chosen in (("a", config), ("b", other)):
        with pytest.raises(KilledError):
            train(chosen, clips, tmp_path / folder, on_epoch=kill_after(1))
    name = "training.checkpoint"
    (tmp_path / "a" / name).replace(tmp_path / "b" / name)
    with pytest.raises(TrainingError, match="is no checkpoint of this experiment"):
        train(other, clips, tmp_path / "b")


def test_weights_of_another_network_are_refused(tmp_path, clips, config):
    train(config, clips, tmp_path)
    text = (tmp_path / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(text.replace('"statistics"', '"mean"'))
    with pytest.raises(TrainingError, match="of another network than its config"):
        load_run(tmp_path)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path, clips, config):
    hot = replace(config.training, learning_rate=1e30, clip=0.0, warmup=0.0)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train(replace(config, training=hot), clips, tmp_path)


def test_frozen_parts_stay_and_lower_blocks_learn_slower():
    network = build_network(
        NetworkConfig(n_layers=3, n_frozen=1, frozen="convolutions")
    )
    objective = Objective(network, LossConfig(), n_speakers=2)
    config = TrainingConfig(
        encoder_rate=1.0, layer_decay=0.5, learning_rate=3.0, weight_decay=0.1
    )
    groups = parameter_groups(objective, config)
    rates = {id(p): g["lr"] for g in groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    blocks = network.encoder.blocks
    assert rates[id(blocks[2].mlp[0].weight)] == 1.0
    assert rates[id(blocks[1].mlp[0].weight)] == 0.5
    assert rates[id(network.classify.weight)] == 3.0
    assert decays[id(blocks[1].mlp[0].weight)] == 0.1
    assert decays[id(blocks[1].mlp[0].bias)] == 0.0
    still = [*blocks[0].parameters(), *network.encoder.conv1.parameters()]
    assert not any(p.requires_grad or id(p) in rates for p in still)
    wanted = {id(p) for p in network.parameters() if p.requires_grad}
    assert wanted == set(rates)


def test_the_encoder_waits_for_the_head(tmp_path, clips, config):
    waiting = replace(config, training=replace(config.training, head_epochs=3))
    torch.manual_seed(config.seed)
    start = build_network(config.network).encoder.state_dict()
    found = train(waiting, clips, tmp_path).encoder.state_dict()
    for name, tensor in start.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0)


def test_balanced_weights_are_the_studys(clips):
    weights = class_weights([clip.utterance for clip in clips[:11]])  # 3, 3, 3 and 2
    expected = [11 / 12, 11 / 12, 11 / 12, 11 / 8]
    torch.testing.assert_close(
        torch.tensor(list(weights.values())), torch.tensor(expected)
    )


def test_adversary_pulls_the_network_the_other_way(clips, config):
    torch.manual_seed(0)
    network = build_network(config.network).eval()
    samples = torch.randn(4, 9_000)
    speakers = torch.tensor([0, 0, 1, 2])
    batch = Batch(network.front(samples), torch.arange(4), speakers, speakers)
    gradients = []
    for weight in (1e-9, 1.0, 2.0):
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


def test_rate_rises_then_falls_to_nothing():
    share = rate_share(TrainingConfig(epochs=10, warmup=0.1), n_steps=10)
    rates = [share(step) for step in range(100)]
    assert rates.index(max(rates)) in (9, 10)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.01


def test_rate_falls_in_steps_as_light_sernets_does():
    config = TrainingConfig(epochs=300, warmup=0, schedule="steps")
    share = rate_share(config, n_steps=2)
    by_epoch = [share(2 * (epoch - 1)) for epoch in range(1, 301)]
    assert by_epoch[58] == 1.0  # epoch 59
    assert by_epoch[59] == by_epoch[78] == pytest.approx(np.exp(-0.15))
    assert by_epoch[79] == pytest.approx(np.exp(-0.30))
    assert by_epoch[-1] == pytest.approx(np.exp(-0.15 * 13))


def test_signals_are_those_of_the_recordings(utterances, clips):
    loaded = load_signals(utterances, small_config().signal)
    for clip, signal in zip(clips, loaded, strict=True):
        np.testing.assert_array_equal(clip.signal, signal)
