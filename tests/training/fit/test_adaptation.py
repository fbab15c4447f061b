import json
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

from espressivo.cli.main import main  # noqa: E402
from espressivo.errors import ConfigError, CorpusError, TrainingError  # noqa: E402
from espressivo.training.clips.batches import make_batches  # noqa: E402
from espressivo.training.clips.feature_cache import FeatureExtractor  # noqa: E402
from espressivo.training.clips.load import load_clips  # noqa: E402
from espressivo.training.clips.sampling import AugmentedClips, EpochSampler  # noqa: E402
from espressivo.training.config import (  # noqa: E402
    AdaptationConfig,
    AdaptationMethod,
    LossConfig,
    TrainingConfig,
    read_config,
    to_toml,
)
from espressivo.training.corpora.use import sources_of_card  # noqa: E402
from espressivo.training.export.card import (  # noqa: E402
    build_card,
    read_run,
    recipe_of,
)
from espressivo.training.fit.adaptation import (  # noqa: E402
    METHODS,
    Step,
    make_adaptation,
    reverse_gradient,
)
from espressivo.training.fit.domain_statistics import (  # noqa: E402
    choose_partners,
    clip_statistics,
    covariance_distance,
    domain_statistics,
    mean_distance,
    mix_statistics,
)
from espressivo.training.fit.objective import Objective  # noqa: E402
from espressivo.training.folds.protocol import ProtocolConfig, make_folds  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.network import Frames  # noqa: E402
from espressivo.training.runs.crossval import crossval  # noqa: E402
from espressivo.training.runs.folder import load_run  # noqa: E402
from espressivo.training.runs.train import train  # noqa: E402
from espressivo.types import Emotion  # noqa: E402
from tests.training.experiments import small_config, small_corpus  # noqa: E402

NAMES = [name for name in METHODS if name != "none"]
ALIGNING = ["dann", "cdan", "coral", "class-coral"]
MIXING = ["mixstyle", "style"]
SIZES = {
    "conv_dim": [16] * 7,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_conv_pos_embedding_groups": 4,
    "num_hidden_layers": 1,
}
NETWORKS = {
    "whisper": {"n_layers": 1},
    "frozen whisper": {"n_layers": 1, "frozen": "all", "head": "mean"},
    "hubert": {"kind": "hubert", "head": "mean"},
    "wav2vec2": {"kind": "wav2vec2", "frozen": "convolutions", "head": "superb"},
    "light_sernet": {"kind": "light_sernet", "padding": "fixed", "window_s": 3.0},
    "statistics": {"kind": "statistics"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three corpora: one and two are trained on, three is the target."""
    utterances = small_corpus(tmp_path_factory.mktemp("clips"), n_speakers=3)
    names = np.repeat(["one", "two", "three"], 4)
    named = [
        replace(u, id=f"{name}/{n}", speaker=f"{name}/{n % 2}", corpus=str(name))
        for n, (u, name) in enumerate(zip(utterances, names, strict=True))
    ]
    return load_clips(named, small_config().signal)[0]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    model = transformers.HubertModel(transformers.HubertConfig(**SIZES))
    model.save_pretrained(root / "hubert")
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SIZES))
    model.save_pretrained(root / "wav2vec2")
    return root


@pytest.fixture
def config():
    small = small_config()
    training = replace(small.training, epochs=2, towards_start=0.0)
    return replace(small, training=training, loss=LossConfig(balance="corpus-class"))


@pytest.fixture(scope="module")
def unadapted(tmp_path_factory, clips, checkpoints):
    """A function of a network's name: its configuration, its weights after an epoch."""

    @cache
    def unadapted(network):
        choices = dict(NETWORKS[network])
        if choices.get("kind") in ("hubert", "wav2vec2"):
            choices["weights"] = str(checkpoints / choices["kind"])
        config = replace(
            small_config(),
            network=NetworkConfig(**choices),
            training=TrainingConfig(
                epochs=1, draws=16, batch_size=8, learning_rate=2e-3
            ),
            loss=LossConfig(),
        )
        return config, weights(train(config, clips[:8], tmp_path_factory.mktemp("run")))

    return unadapted


def adapted(config, method, **settings):
    return replace(config, adaptation=AdaptationConfig(method, **settings))


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_same(one, two):
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=0, rtol=0)


def assert_other(one, two):
    assert any(not torch.equal(tensor, two[name]) for name, tensor in one.items())


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def method_for(name, n_domains=2, n_steps=10, network=None, **settings):
    torch.manual_seed(0)
    if network is None:
        network = build_network(NetworkConfig(n_layers=1, head="mean"))
    return make_adaptation(
        AdaptationConfig(name, **settings), network, n_domains, n_steps
    )


def step_of(features, logits, target, domain, losses=None):
    losses = torch.zeros(len(target)) if losses is None else losses
    return Step(losses, target, features, logits, domain)


# What each method computes.


def test_the_recipe_names_the_methods_that_exist():
    assert list(METHODS) == list(get_args(AdaptationMethod))


@pytest.mark.parametrize("strength", [1.0, 0.25, 0.0])
def test_a_reversed_gradient_is_the_analytic_one_with_another_sign(strength):
    x, weight = normal(5, 3), normal(3, 2, seed=1)
    rows, plain = (x.clone().requires_grad_() for _ in range(2))
    y = reverse_gradient(rows, strength)
    torch.testing.assert_close(y, x, atol=0, rtol=0)
    (y @ weight).tanh().sum().backward()
    (plain @ weight).tanh().sum().backward()
    torch.testing.assert_close(rows.grad, -strength * plain.grad)


def test_dann_adds_the_gradient_of_the_domain_loss_with_the_schedule():
    dann = method_for("dann", n_domains=3, n_steps=4, weight=0.5)
    domain = torch.tensor([0, 1, 2, 2])
    found = []
    for done in range(4):
        features = normal(4, dann.width).requires_grad_()
        step = step_of(features, normal(4, 4), torch.arange(4), domain)
        loss = dann(step)
        plain = features.detach().clone().requires_grad_()
        wanted = nn.functional.cross_entropy(dann.guess(plain), domain)
        torch.testing.assert_close(loss, wanted)
        (own,) = torch.autograd.grad(loss, features)
        (other,) = torch.autograd.grad(wanted, plain)
        strength = 0.5 * (2 / (1 + np.exp(-10 * done / 4)) - 1)
        torch.testing.assert_close(own, -strength * other)
        found.append(float(own.norm()))
    assert found[0] == 0 < found[1] < found[3]


def test_cdan_with_a_certain_class_sees_the_features_in_that_class_alone():
    cdan = method_for("cdan")
    features = normal(3, cdan.width)
    certain = torch.full((3, 4), -1e4)
    certain[:, 2] = 0
    seen = cdan._input(step_of(features, certain, torch.arange(3), torch.zeros(3)))
    wanted = torch.zeros(3, 4, cdan.width)
    wanted[:, 2] = features
    torch.testing.assert_close(seen, wanted.flatten(1))


def test_coral_is_its_formula():
    one, two = normal(7, 5), 2 * normal(9, 5, seed=1) + 3
    covariances = [torch.from_numpy(np.cov(rows.numpy().T)) for rows in (one, two)]
    wanted = (covariances[0] - covariances[1]).square().sum() / (4 * 5**2)
    found = covariance_distance([one, two])
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=1e-5)
    means = (one.mean(0) - two.mean(0)).square().sum() / 5
    torch.testing.assert_close(mean_distance([one, two]), means)


def test_coral_of_several_domains_is_the_mean_over_pairs():
    groups = [(n + 1) * normal(6, 3, seed=n) for n in range(4)]
    pairs = [
        covariance_distance([a, b]) for i, a in enumerate(groups) for b in groups[:i]
    ]
    torch.testing.assert_close(covariance_distance(groups), torch.stack(pairs).mean())


def test_coral_is_zero_for_equal_domains_and_for_a_shift():
    rows = normal(8, 3)
    for other in (rows, rows.flip(0), rows + 5):
        distance = covariance_distance([rows, other])
        torch.testing.assert_close(distance, torch.tensor(0.0), atol=1e-9, rtol=0)
    assert mean_distance([rows, rows.flip(0)]) < 1e-12 < mean_distance([rows, rows + 5])


def test_what_has_no_pair_has_no_distance():
    for groups in ([], [normal(5, 3)]):
        assert covariance_distance(groups) == mean_distance(groups) == 0
    assert covariance_distance([normal(5, 3), normal(1, 3)]) == 0


@pytest.mark.parametrize("name", ["coral", "class-coral"])
def test_domains_that_are_alike_cost_nothing_and_their_order_neither(name):
    method = method_for(name, weight=2.0)
    rows = normal(16, method.width)
    target = torch.arange(16) % 4
    same = step_of(
        torch.cat([rows, rows]),
        torch.zeros(32, 4),
        torch.cat([target, target]),
        torch.arange(32) // 16,
    )
    assert method(same) < 1e-9
    domain = torch.randint(2, (16,), generator=torch.Generator().manual_seed(0))
    step = step_of(rows, torch.zeros(16, 4), target, domain)
    order = torch.randperm(16)
    mixed = step_of(rows[order], step.logits, target[order], domain[order])
    torch.testing.assert_close(method(mixed), method(step))
    swapped = step._replace(domain=1 - domain)
    torch.testing.assert_close(method(swapped), method(step))


def test_class_coral_takes_what_the_network_predicts_for_the_target():
    method = method_for("class-coral")
    rows, target = normal(16, method.width), torch.arange(8) % 4
    logits = 9 * nn.functional.one_hot(torch.arange(16) % 4, 4).float()
    domain = torch.arange(16) // 8
    guessed = method(step_of(rows, logits, target, domain))
    told = method(step_of(rows, logits, torch.arange(16) % 4, domain))
    torch.testing.assert_close(guessed, told)


def frames_of(lengths, channels=3):
    values = normal(len(lengths), max(lengths), channels) * 2 + 1
    counts = torch.tensor(lengths)
    mask = (torch.arange(max(lengths)) < counts[:, None]).float().unsqueeze(-1)
    return Frames(values * mask, counts), mask


def test_statistics_of_a_clip_are_those_of_its_valid_frames():
    frames, mask = frames_of([9, 4])
    mean, scale = clip_statistics(frames.values, mask)
    for row, n in enumerate((9, 4)):
        valid = frames.values[row, :n]
        torch.testing.assert_close(mean[row, 0], valid.mean(0))
        wanted = valid.std(0, correction=0)
        torch.testing.assert_close(scale[row, 0], wanted, atol=1e-5, rtol=1e-4)


def test_statistics_of_a_domain_are_those_of_its_clips():
    rows, domain = normal(9, 4), torch.tensor([0, 0, 0, 2, 2, 2, 2, 2, 2])
    mean, scale = domain_statistics(rows, domain)
    torch.testing.assert_close(mean[0], rows[:3].mean(0))
    torch.testing.assert_close(mean[8], rows[3:].mean(0))
    wanted = rows[3:].std(0, correction=0)
    torch.testing.assert_close(scale[4], wanted, atol=1e-5, rtol=1e-4)


def test_own_statistics_are_the_identity_and_mixed_ones_are_as_mixed():
    frames, mask = frames_of([9, 6, 7])
    statistics = clip_statistics(frames.values, mask)
    partners = torch.tensor([1, 2, 0])

    def mix(*shares):
        return mix_statistics(frames.values, statistics, partners, torch.tensor(shares))

    torch.testing.assert_close(mix(1.0, 1.0, 1.0), frames.values, atol=1e-5, rtol=1e-4)
    shares = (0.3, 0.0, 0.8)
    mean, scale = clip_statistics(mix(*shares) * mask, mask)
    for row, share in enumerate(shares):
        for found, part in zip((mean, scale), statistics, strict=True):
            wanted = share * part[row] + (1 - share) * part[partners[row]]
            torch.testing.assert_close(found[row], wanted, atol=1e-4, rtol=1e-4)


def test_partners_are_of_another_domain_or_none():
    torch.manual_seed(0)
    domain = torch.tensor([0, 0, 1, 1, 1, 2])
    seen = {tuple(choose_partners(domain).tolist()) for _ in range(50)}
    assert len(seen) > 20
    assert all(domain[j] != domain[i] for row in seen for i, j in enumerate(row))
    several = (domain.bincount() > 1)[domain]
    for _ in range(20):
        chosen = choose_partners(domain, several)
        assert chosen[5] == 5
        assert 5 not in chosen[:5]
    assert choose_partners(torch.zeros(4, dtype=torch.int64)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", MIXING)
def test_mixing_leaves_alone_what_it_should(name):
    frames, _ = frames_of([9, 6, 7, 8])
    domain = torch.tensor([0, 0, 1, 1])
    rows = normal(4, 8)
    never = method_for(name, probability=0.0)
    assert never.frames(frames, domain) is frames
    always = method_for(name, probability=1.0)
    alone = always.frames(frames, torch.zeros_like(domain))
    torch.testing.assert_close(alone.values, frames.values, atol=0, rtol=0)
    mixed = always.frames(frames, domain)
    assert not torch.equal(mixed.values, frames.values)
    assert (mixed.values[1, 6:] == 0).all()
    # With a trained encoder frames are changed, else embeddings.
    assert always.embedding(rows, domain) is rows
    frozen = build_network(NetworkConfig(n_layers=1, frozen="all", head="mean"))
    still = method_for(name, network=frozen, probability=1.0)
    assert still.frames(frames, domain) is frames
    assert not torch.equal(still.embedding(rows, domain), rows)


def test_style_gives_a_clip_the_statistics_of_the_other_domain():
    frames, mask = frames_of([9, 6])
    style = method_for("style", probability=1.0)
    found = clip_statistics(style.frames(frames, torch.tensor([0, 1])).values, mask)
    wanted = clip_statistics(frames.values, mask)
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two.flip(0), atol=1e-4, rtol=1e-4)


def test_group_dro_follows_the_reference_update():
    method = method_for("group-dro", n_domains=3, step=0.5)
    q = np.full(3, 1 / 3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        domain = rng.integers(0, 2, 8)  # the third group has no clip
        losses = rng.uniform(0, 2, 8)
        groups = np.array(
            [losses[domain == g].mean() if (domain == g).any() else 0 for g in range(3)]
        )
        q = q * np.exp(0.5 * groups)
        q /= q.sum()
        step = step_of(
            normal(8, 2),
            normal(8, 4),
            torch.zeros(8, dtype=torch.int64),
            torch.from_numpy(domain),
            torch.tensor(losses, dtype=torch.float32),
        )
        loss = method(step)
        torch.testing.assert_close(float(loss), float(q @ groups), atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(method.weights, q, rtol=1e-5)
    assert method.weights.argmin() == 2


def test_equal_losses_keep_group_dro_at_the_mean():
    method = method_for("group-dro", step=1.0)
    step = step_of(
        normal(4, 2),
        normal(4, 4),
        torch.arange(4),
        torch.tensor([0, 0, 1, 1]),
        torch.full((4,), 0.7),
    )
    torch.testing.assert_close(method(step), torch.tensor(0.7))


# What a training does with it.


@pytest.mark.parametrize(
    ("name", "network"),
    # How they meet: losses of embeddings (cdan), mixed frames or embeddings (mixstyle).
    [
        *((name, "whisper") for name in NAMES),
        *(
            (name, n)
            for n in NETWORKS
            if n != "whisper"
            for name in ("cdan", "mixstyle")
        ),
    ],
)
def test_methods_train_networks(tmp_path, clips, unadapted, name, network):
    config, plain = unadapted(network)
    settings = {"probability": 1.0} if name in MIXING else {}
    source, left_out = clips[:8], clips[8:]
    found = train(adapted(config, name, **settings), source, tmp_path / "run")
    assert_other(plain, weights(found))
    assert_same(weights(found), weights(load_run(tmp_path / "run")))
    if name != "group-dro":
        aimed = adapted(config, name, target="left-out", **settings)
        more = train(aimed, source, tmp_path / "target", left_out=left_out)
        assert_other(weights(found), weights(more))


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        *((name, "corpus") for name in (*ALIGNING, *MIXING)),
        ("class-coral", "speaker"),
        ("style", "speaker"),
    ],
)
def test_no_label_of_the_target_is_read(tmp_path, clips, config, name, domain):
    config = adapted(config, name, target="left-out", domain=domain)
    source, left_out = clips[:8], clips[8:]

    def run(folder, labels):
        unlike = [
            replace(c, utterance=replace(c.utterance, emotion=label))
            for c, label in zip(left_out, labels, strict=True)
        ]
        return weights(train(config, source, tmp_path / folder, left_out=unlike))

    true = run("true", [clip.utterance.emotion for clip in left_out])
    assert_same(true, run("shuffled", [*Emotion][::-1]))
    assert_same(true, run("removed", [None] * 4))
    described = (tmp_path / "true/run.json").read_text()
    assert described == (tmp_path / "removed/run.json").read_text()
    assert json.loads(described)["target"]["recordings"] == 4
    assert not any("three" in key for key in json.loads(described)["utterances"])


def test_the_target_gets_no_class_loss(clips, config):
    batches = make_batches(
        FeatureExtractor(build_network(config.network)), clips[:8], config, clips[8:]
    )
    assert len(batches.labels) == 8
    assert batches.n_domains == 3
    (batch,) = batches.load(batches.unaugmented())
    assert len(batch.target) == 8
    # `unaugmented` sorts by length; those of a sampler are labelled first.
    sampler = EpochSampler(AugmentedClips(clips, config), config, 8)
    for step in sampler.epoch(0):
        assert [one.index < 8 for one in step] == [True] * 4 + [False] * 4
    network = batches.extractor.network
    objective = Objective(network, LossConfig(), 4).eval()
    steps = list(sampler.epoch(0))
    (both, *_), (labelled, *_) = (
        list(
            batches.load([[one for one in step if one.index < most] for step in steps])
        )
        for most in (12, 8)
    )
    torch.testing.assert_close(objective(both), objective(labelled))


def test_the_target_changes_no_draw_of_the_labelled_clips(clips, config):
    alone = EpochSampler(AugmentedClips(clips[:8], config), config)
    both = EpochSampler(AugmentedClips(clips, config), config, 8)
    for one, two in zip(alone.epoch(1), both.epoch(1), strict=True):
        assert one == two[: len(one)]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, clips, config, name):
    target = {} if name == "group-dro" else {"target": "left-out"}
    config = adapted(config, name, **target)

    def kill(report):
        if report.epoch == 1:
            raise KilledError

    def run(folder, **more):
        return train(config, clips[:8], tmp_path / folder, left_out=clips[8:], **more)

    whole = weights(run("whole"))
    with pytest.raises(KilledError):
        run("cut", on_epoch=kill)
    assert_same(whole, weights(run("cut")))
    one, two = ((tmp_path / n / "metrics.jsonl").read_text() for n in ("whole", "cut"))
    losses = [[json.loads(x)["loss"] for x in text.splitlines()] for text in (one, two)]
    assert losses[0] == losses[1]


def test_another_target_is_another_run(tmp_path, clips, config):
    config = adapted(config, "coral", target="left-out")
    train(config, clips[:8], tmp_path, left_out=clips[8:])
    with pytest.raises(TrainingError, match="of another configuration, or of other"):
        train(config, clips[:8], tmp_path, left_out=clips[9:])


def test_crossval_adapts_to_the_corpus_of_each_fold(tmp_path, config):
    (tmp_path / "clips").mkdir()
    utterances = [
        replace(u, corpus=f"tones-{n // 8}")
        for n, u in enumerate(small_corpus(tmp_path / "clips", n_speakers=6))
    ]
    protocol = ProtocolConfig(kind="corpus", validation_share=0.5)
    config = replace(config, protocol=protocol)
    config = adapted(config, "dann", target="left-out", domain="speaker")
    folds = make_folds(protocol, utterances)
    crossval(config, folds, tmp_path / "result")
    for fold in folds:
        text = (tmp_path / "result" / fold.name / "seed-0/run.json").read_text()
        found = json.loads(text)["target"]
        assert found["corpora"] == [fold.test[0].corpus]
        assert found["recordings"] == len(fold.test)
    card = json.loads((tmp_path / "result/crossval.json").read_text())
    assert "tested took part in training, without their labels" in card["cautions"][0]
    named = adapted(config, "dann", target=str(tmp_path / "clips"))
    with pytest.raises(TrainingError, match="are trained on with their labels"):
        crossval(named, folds, tmp_path / "other")


def test_a_folder_of_recordings_is_a_target(tmp_path, clips, config):
    folder = tmp_path / "calls"
    (folder / "a").mkdir(parents=True)
    for n, clip in enumerate(clips[8:]):
        data = clip.utterance.path.read_bytes()
        (folder / "a" / f"{n}.wav").write_bytes(data)
    (folder / "notes.txt").write_text("no recording")
    config = adapted(config, "coral", target=str(folder))
    train(config, clips[:8], tmp_path / "run")
    described = json.loads((tmp_path / "run/run.json").read_text())
    assert described["target"]["corpora"] == ["calls"]
    assert described["target"]["recordings"] == 4
    (folder / "a/0.wav").write_bytes(b"no sound")
    with pytest.raises(CorpusError, match="cannot be read"):
        train(config, clips[:8], tmp_path / "other")


def test_a_card_names_the_target_and_its_licence(tmp_path, clips, config):
    config = adapted(config, "coral", target="left-out")
    config = replace(config, licences={"three": "research"})
    train(config, clips[:8], tmp_path, left_out=clips[8:])
    card = build_card(config, read_run(tmp_path), {"temperature": 1.0}, {}, [])
    assert [part["name"] for part in card["unlabelled_corpora"]] == ["three"]
    assert [part["name"] for part in card["training_corpora"]] == ["one", "two"]
    assert "three" in {source.title for source in sources_of_card(card)}
    assert card["use"]["commercial"] == "no"
    folder = adapted(config, "coral", target=str(tmp_path / "calls"))
    assert recipe_of(folder)["adaptation"]["target"] == "calls"


# What is refused.


def test_one_domain_is_too_few(tmp_path, clips, config):
    for name in NAMES:
        with pytest.raises(TrainingError, match="needs two domains or more"):
            train(adapted(config, name), clips[:4], tmp_path / name)
    train(adapted(config, "dann", domain="speaker"), clips[:4], tmp_path / "speakers")


def test_a_target_that_is_trained_on_or_absent_is_refused(tmp_path, clips, config):
    def run(target, **options):
        train(adapted(config, "coral", target=target), clips[:8], tmp_path, **options)

    with pytest.raises(TrainingError, match="nothing is left out; pass --leave-out"):
        run("left-out")
    with pytest.raises(TrainingError, match="1 of its recordings are trained on"):
        run("left-out", left_out=clips[7:])
    with pytest.raises(CorpusError, match=r"no folder .*, and no corpus of that name"):
        run(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="holds no recordings"):
        run(str(tmp_path / "empty"))


RECIPE = """
name = "x"
[corpora]
tess = "corpora/tess"
[training]
epochs = 2
[adaptation]
"""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            'method = "dan"',
            "'adaptation.method' is 'dan'; it should be one of .*'dann'",
        ),
        ('target = "tess"', "method 'none' does not use"),
        ('method = "group-dro"\ntarget = "tess"', "'group-dro' does not use; remove"),
        ('method = "coral"\nalpha = 0.3', "adaptation.method to one of mixstyle"),
        ('methd = "coral"', "did you mean 'adaptation.method'"),
        (
            'method = "coral"\n[classifier]\nfit = "discriminant"',
            "needs gradient descent, .* set classifier.fit to 'gradient' and",
        ),
        ('method = "coral"', None),
    ],
)
def test_what_a_recipe_may_say(tmp_path, settings, message):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + settings)
    if message is None:
        assert read_config(path).adaptation.method == "coral"
        path.write_text(path.read_text().replace("epochs = 2", "epochs = 0"))
        message = "'training.epochs' is 0, so that nothing is trained"
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_a_target_is_a_corpus_of_the_file_or_a_folder(tmp_path):
    path = tmp_path / "recipe.toml"
    for target, wanted in (
        ("tess", "tess"),
        ("left-out", "left-out"),
        ("calls", str(tmp_path / "calls")),
    ):
        path.write_text(f'{RECIPE}method = "dann"\ntarget = "{target}"\n')
        config = read_config(path)
        assert config.adaptation.target == wanted
        again = tmp_path / "again.toml"
        again.write_text(to_toml(config))
        assert read_config(again) == config
    path.write_text(f'{RECIPE}method = "dann"\ntarget = "$NOWHERE/x"\n')
    with pytest.raises(ConfigError, match="variable NOWHERE is not set"):
        read_config(path)
    assert main(["train", str(path), "--out", str(tmp_path / "run")]) == 1
