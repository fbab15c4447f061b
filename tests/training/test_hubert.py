import copy
import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
transformers = pytest.importorskip("transformers", reason="needs the extra 'train'")

from safetensors.torch import load_file, save_file  # noqa: E402

from espressivo.errors import ConfigError, TrainingError  # noqa: E402
from espressivo.training.networks import (  # noqa: E402
    NetworkConfig,
    build_network,
    encoder_settings,
    load_pretrained,
)
from espressivo.training.networks.network import count_parameters  # noqa: E402

KINDS = ("distilhubert", "hubert", "wav2vec2")
HEADS = ("mean", "statistics", "attentive", "superb", "pepino")
# What config.json of ntu-spml/distilhubert says of the network and its training.
PUBLISHED = {
    "activation_dropout": 0.1,
    "apply_spec_augment": False,
    "attention_dropout": 0.1,
    "classifier_proj_size": 256,
    "conv_bias": False,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "do_stable_layer_norm": False,
    "feat_extract_activation": "gelu",
    "feat_extract_norm": "group",
    "feat_proj_dropout": 0.0,
    "feat_proj_layer_norm": False,
    "final_dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "layerdrop": 0.0,
    "mask_time_prob": 0.05,
    "model_type": "hubert",
    "num_attention_heads": 12,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_hidden_layers": 2,
}
TINY = {
    "conv_dim": [16] * 7,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_conv_pos_embedding_groups": 4,
}


def tiny(kind):
    """A model of transformers, its weights random, its biases too."""
    torch.manual_seed(7)
    if kind == "wav2vec2":
        config = transformers.Wav2Vec2Config(num_hidden_layers=3, **TINY)
        model = transformers.Wav2Vec2Model(config)
    else:
        n_layers, norm = {"distilhubert": (2, False), "hubert": (3, True)}[kind]
        config = transformers.HubertConfig(
            num_hidden_layers=n_layers, feat_proj_layer_norm=norm, **TINY
        )
        model = transformers.HubertModel(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # fresh biases are zero, and zeros would hide padding
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """One checkpoint of each kind as transformers writes it."""
    root = tmp_path_factory.mktemp("checkpoints")
    for kind in KINDS:
        tiny(kind).save_pretrained(root / kind)
    return root


@pytest.fixture
def make(folders):
    def make(kind="distilhubert", **options):
        torch.manual_seed(1)
        options = {"head": "mean", "weights": str(folders / kind), **options}
        config = NetworkConfig(kind=kind, **options)
        network = build_network(config)
        load_pretrained(network, config)
        return network.eval()

    return make


def noise(n_samples, seed=0, level=0.3):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


def batch(*lengths, width=None):
    """Rows of noise; what lies in the padding must not matter."""
    rows = [noise(n, seed=i) for i, n in enumerate(lengths)]
    together = torch.full((len(rows), width or max(lengths)), 0.7)
    for row, signal in zip(together, rows, strict=True):
        row[: signal.shape[1]] = signal
    return rows, together, torch.tensor(lengths)


def on_meta(**options):
    with torch.device("meta"):
        return build_network(NetworkConfig(**options))


def test_distilhubert_has_the_published_size(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED), "utf-8")
    for weights in ("", str(tmp_path)):
        options = {"head": "mean", "states": (-1,), "weights": weights}
        network = on_meta(kind="distilhubert", **options)
        sizes = {name: p.numel() for name, p in network.encoder.named_parameters()}
        assert sum(sizes.values()) == 23_491_968
        assert sizes["masked_spec_embed"] == 768
        assert count_parameters(network)[0] == 23_491_968 + 768 * 4 + 4


@pytest.mark.parametrize(("kind", "n"), [("hubert", 94.4e6), ("wav2vec2", 94.4e6)])
def test_base_networks_have_the_published_size(kind, n):
    assert count_parameters(on_meta(kind=kind))[0] == pytest.approx(n, rel=1e-3)


def test_pepino_trains_what_is_published():
    network = on_meta(kind="wav2vec2", frozen="all", head="pepino")
    assert count_parameters(network)[1] == 115_473


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frozen", ["nothing", "convolutions", "all"])
def test_one_clip_gives_transformers_own_states(make, kind, frozen):
    samples = noise(8000)
    network = make(kind, frozen=frozen)
    got, mask = network.hidden_states(network.front(samples, torch.tensor([8000])))
    wanted = tiny(kind)(samples, output_hidden_states=True).hidden_states
    assert mask.all()
    torch.testing.assert_close(got, torch.stack(wanted, 2), atol=1e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_fixed_padding_is_heard_as_transformers_hears_it(make, kind):
    network = make(kind, states=(-1,), padding="fixed", window_s=1.0)
    rows, together, lengths = batch(9000, 20_000, width=24_000)
    padded = torch.zeros(2, 16_000)
    padded[0, :9000], padded[1] = rows[0][0], rows[1][0, :16_000]
    wanted = tiny(kind)(padded).last_hidden_state.mean(1)
    got = network.embedding(network.front(together, lengths))
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    louder_end = network(torch.cat([rows[0], torch.zeros(1, 7000)], 1))
    assert not torch.allclose(louder_end, network(rows[0][:, :8000]), atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
def test_padding_changes_nothing(make, kind, head):
    network = make(kind, head=head, frozen="convolutions")
    rows, together, lengths = batch(3200, 12_345, 8000, width=20_000)
    alone = torch.cat([network(row) for row in rows])
    torch.testing.assert_close(network(together, lengths), alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("frozen", ["nothing", "all"])
def test_padding_changes_nothing_whatever_is_frozen(make, frozen):
    network = make(frozen=frozen, head="superb")
    rows, together, lengths = batch(3200, 12_345, width=20_000)
    alone = torch.cat([network(row) for row in rows])
    torch.testing.assert_close(network(together, lengths), alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_padding_changes_nothing_for_speech_in_the_full_size(note):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(kind="distilhubert", head="mean")).eval()
    speech = torch.tensor(note[16_000:26_000])
    together = torch.stack([speech, speech])
    together[0, 3200:] = 0.7
    alone = torch.cat([network(speech[None, :3200]), network(speech[None])])
    got = network(together, torch.tensor([3200, 10_000]))
    torch.testing.assert_close(got, alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(got[0], got[1], atol=1e-3)


@torch.inference_mode()
def test_valid_frames_are_those_of_the_convolutions(make):
    network = make(frozen="all")
    _, together, lengths = batch(3200, 16_000)
    values, counts = network.front(together, lengths)
    assert counts.tolist() == [9, 49]
    assert values.shape == (2, 49, 3, 24)
    assert not values[0, 9:].any()


@torch.inference_mode()
@pytest.mark.parametrize("padding", ["valid", "fixed"])
def test_silence_has_finite_logits(make, padding):
    network = make(padding=padding)
    lengths = torch.tensor([3200, 8000])
    assert network(torch.zeros(2, 8000), lengths).isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_level_and_offset_change_nothing(make, kind):
    samples = noise(8000)
    network = make(kind)
    torch.testing.assert_close(
        network(2 * samples + 0.1), network(samples), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("frozen", ["nothing", "convolutions", "all"])
@pytest.mark.parametrize("head", HEADS)
def test_what_is_trained_has_a_gradient_and_what_is_frozen_none(make, frozen, head):
    network = make(frozen=frozen, head=head).train()
    _, together, lengths = batch(4000, 6000)
    network(together, lengths).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize(
    ("options", "n_blocks"),
    [
        ({"frozen": "nothing"}, 5),
        ({"frozen": "convolutions"}, 4),
        ({"frozen": "convolutions", "n_frozen": 2}, 1),
        ({"frozen": "all"}, 0),
        ({"frozen": "nothing", "n_layers": 2}, 4),
        ({"frozen": "nothing", "states": (1,)}, 3),
    ],
)
def test_blocks_are_what_is_trained_of_the_encoder(make, options, n_blocks):
    network = make("hubert", **options)
    blocks = network.blocks()
    trained = [p for p in network.encoder.parameters() if p.requires_grad]
    assert len(blocks) == n_blocks
    assert {id(p) for block in blocks for p in block} == {id(p) for p in trained}


def test_dropout_spares_what_is_frozen(make):
    samples = noise(6000)
    options = {"encoder_dropout": 0.5, "dropout": 0.0, "head": "mean"}
    frozen = make(frozen="all", **options).train()
    torch.testing.assert_close(frozen(samples), frozen(samples))
    blocks = make(frozen="convolutions", n_frozen=2, **options).train()
    torch.testing.assert_close(blocks(samples), blocks(samples))
    trained = make(frozen="convolutions", **options).train()
    assert not torch.allclose(trained(samples), trained(samples))


@torch.inference_mode()
def test_front_state_says_when_the_front_differs(make):
    parts = {frozen: make(frozen=frozen) for frozen in ("convolutions", "all")}
    assert make(frozen="nothing").front_state() == {}
    n_tensors = {frozen: len(n.front_state()) for frozen, n in parts.items()}
    assert 0 < n_tensors["convolutions"] < n_tensors["all"]
    changed = copy.deepcopy(parts["convolutions"])
    for tensor in changed.front_state().values():
        tensor.mul_(1.5)
    before, after = (n.front(noise(6000)) for n in (parts["convolutions"], changed))
    assert not torch.allclose(before.values, after.values)


@torch.inference_mode()
@pytest.mark.parametrize("frozen", ["convolutions", "all"])
def test_pepino_sees_deviations_from_the_training_mean(make, frozen):
    network = make("wav2vec2", frozen=frozen, head="pepino")
    batches = [
        network.front(together, lengths)
        for _, together, lengths in (batch(4000, 9000), batch(12_000, width=15_000))
    ]
    network.fit(iter(batches))
    rows = torch.cat(list(network._rows(batches)))  # [frames, states, width]
    seen = network.activations(rows)
    assert len(rows) == 12 + 27 + 37
    torch.testing.assert_close(seen.mean(0), torch.zeros(4, 24), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        network.activations.scale, rows.std(0) + 1e-4, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_pepinos_head_equals_its_definition(make):
    """Deviations, average by weights over their sum, two layers, mean, linear."""
    network = make("wav2vec2", frozen="all", head="pepino")
    network.average.weights.copy_(torch.tensor([1.0, 2.0, -0.5, 0.5]))
    _, together, lengths = batch(4000, 9000)
    frames = network.front(together, lengths)
    network.fit([frames])
    states = frames.values[1]  # the longer: all frames are its own
    states = (states - network.activations.mean) / network.activations.scale
    x = (states * torch.tensor([1.0, 2.0, -0.5, 0.5])[:, None]).sum(1) / 3
    for layer in (network.pooling.layers[0], network.pooling.layers[3]):
        x = torch.relu(x @ layer.weight.T + layer.bias)
    wanted = network.classify(x.mean(0))
    torch.testing.assert_close(network.logits(frames)[1], wanted, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_superbs_head_equals_its_definition(make):
    network = make("hubert", frozen="all", head="superb", states=(-1,))
    frames = network.front(noise(8000))
    project = network.pooling.project
    projected = frames.values[0, :, 0] @ project.weight.T + project.bias
    wanted = network.classify(projected.mean(0))
    assert projected.shape == (24, 256)
    torch.testing.assert_close(network.logits(frames)[0], wanted, atol=1e-5, rtol=1e-4)


def test_only_pepino_is_fitted(make):
    network = make(head="superb", frozen="convolutions")
    before = copy.deepcopy(network.state_dict())
    network.fit([network.front(noise(5000))])
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_close(make, kind):
    network = make(kind, head="superb")
    _, together, lengths = batch(4000, 9000)
    wanted = network(together, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        got = network(together, lengths)
    torch.testing.assert_close(got.float(), wanted, atol=0.1, rtol=0.1)


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_built_again_without_its_checkpoint(make, kind):
    network = make(kind, n_layers=1)
    settings = json.loads(json.dumps(encoder_settings(network)))
    config = NetworkConfig(kind=kind, head="mean", n_layers=1, weights="gone")
    again = build_network(config, settings).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(noise(5000)), network(noise(5000)))


def write_checkpoint(folder, model, form):
    """Write a checkpoint as releases of transformers and torch have written it."""
    state = model.state_dict()
    if "old names" in form:  # torch's weight norm before it was a parametrization
        position = "encoder.pos_conv_embed.conv."
        for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
            name = f"{position}parametrizations.weight.{new}"
            state[position + old] = state.pop(name)
    if "head" in form:
        state = {f"hubert.{name}": tensor for name, tensor in state.items()}
        state["lm_head.weight"] = torch.zeros(3)
    if "half" in form:
        state = {name: tensor.half() for name, tensor in state.items()}
    model.config.save_pretrained(folder)
    if "pickle" in form:
        is_zip = "legacy" not in form
        path = folder / "pytorch_model.bin"
        torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    else:
        save_file(state, folder / "model.safetensors")


@torch.inference_mode()
def test_a_checkpoint_of_any_form_gives_transformers_own_states(tmp_path):
    torch.manual_seed(7)
    small = transformers.HubertConfig(**PUBLISHED | TINY)
    # Rounded to half precision, so that all forms hold the same numbers.
    model = transformers.HubertModel(small).eval().half().float()
    samples = noise(8000)
    wanted = torch.stack(model(samples, output_hidden_states=True).hidden_states, 2)
    found = []
    for n, form in enumerate(
        (
            "new names, safetensors",
            "new names, legacy pickle, head",
            "old names, safetensors, head, half",
            "old names, pickle",
        )
    ):
        folder = tmp_path / str(n)
        write_checkpoint(folder, model, form)
        config = NetworkConfig(kind="distilhubert", weights=str(folder))
        network = build_network(config).eval()
        load_pretrained(network, config)
        found.append(network.hidden_states(network.front(samples))[0])
        torch.testing.assert_close(found[-1], wanted, atol=1e-5, rtol=1e-4)
        assert torch.equal(found[-1], found[0]), form


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(folders, tmp_path):
    config = (folders / "hubert" / "config.json").read_text("utf-8")
    (tmp_path / "config.json").write_text(config, "utf-8")
    torch.save({"weight": Trap()}, tmp_path / "pytorch_model.bin")
    config = NetworkConfig(kind="hubert", weights=str(tmp_path))
    with pytest.raises(TrainingError, match="no tensors that can be read"):
        load_pretrained(build_network(config), config)


@pytest.fixture
def copy_of(folders, tmp_path):
    def copy_of(kind, *, config=None, tensors=None):
        settings = json.loads((folders / kind / "config.json").read_text("utf-8"))
        state = load_file(folders / kind / "model.safetensors")
        settings.update(config or {})
        state.update(tensors or {})
        state = {name: tensor for name, tensor in state.items() if tensor is not None}
        (tmp_path / "config.json").write_text(json.dumps(settings), "utf-8")
        save_file(state, tmp_path / "model.safetensors")
        return str(tmp_path)

    return copy_of


@pytest.mark.parametrize(
    ("kind", "other", "change", "message"),
    [
        ("hubert", "hubert", {"model_type": None}, "model_type is None, no str"),
        ("distilhubert", "wav2vec2", {}, "model_type is 'wav2vec2', not 'hubert'"),
        ("wav2vec2", "hubert", {}, "model_type is 'hubert', not 'wav2vec2'"),
        ("distilhubert", "hubert", {}, "is 3, not 2|is True, not False"),
        ("hubert", "distilhubert", {}, "feat_proj_layer_norm is False, not True"),
        ("hubert", "hubert", {"do_stable_layer_norm": True}, "another network"),
        ("hubert", "hubert", {"feat_extract_norm": "layer"}, "another network"),
        ("hubert", "hubert", {"num_attention_heads": 5}, "no encoder has such"),
        ("hubert", "hubert", {"hidden_size": "wide"}, "'wide', no int"),
    ],
)
def test_another_network_is_refused(copy_of, kind, other, change, message):
    weights = copy_of(other, config=change)
    with pytest.raises(TrainingError, match=message):
        build_network(NetworkConfig(kind=kind, weights=weights))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [(None, "holds no tensor"), (torch.zeros(3), r"is \(3,\), not \(24, 16\)")],
)
def test_incomplete_weights_are_refused(copy_of, tensor, message):
    tensors = {"feature_projection.projection.weight": tensor}
    weights = copy_of("hubert", tensors=tensors)
    config = NetworkConfig(kind="hubert", weights=weights)
    with pytest.raises(TrainingError, match=message):
        load_pretrained(build_network(config), config)


def test_weights_of_another_size_are_refused(folders):
    network = on_meta(kind="hubert")
    config = NetworkConfig(kind="hubert", weights=str(folders / "hubert"))
    with pytest.raises(TrainingError, match=r"conv_dim is .* another network"):
        load_pretrained(network, config)


def test_weights_are_found_by_their_name_on_the_hub(monkeypatch, tmp_path):
    """In the cache of the hub, as huggingface_hub lays it out, without a connection."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    torch.manual_seed(3)
    config = transformers.HubertConfig(feat_proj_layer_norm=False, num_hidden_layers=2)
    model = transformers.HubertModel(config)
    repository = tmp_path / "models--somebody--distilhubert"
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, "utf-8")
    config.save_pretrained(snapshot)
    torch.save(model.state_dict(), snapshot / "pytorch_model.bin")

    config = NetworkConfig(kind="distilhubert", weights="somebody/distilhubert")
    network = build_network(config)
    load_pretrained(network, config)
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("/nowhere/at/all", "no such folder"),
        ("nobody/has-such-a-model", "neither a folder here nor to be had"),
    ],
)
def test_absent_weights_are_named(monkeypatch, tmp_path, weights, message):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    config = NetworkConfig(kind="distilhubert", weights=weights)
    with pytest.raises(TrainingError, match=message):
        load_pretrained(on_meta(kind="distilhubert"), config)


def test_a_folder_without_weights_is_named(copy_of, tmp_path):
    weights = copy_of("hubert")
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    config = NetworkConfig(kind="hubert", weights=weights)
    with pytest.raises(TrainingError, match="no tensors that can be read"):
        load_pretrained(build_network(config), config)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(TrainingError, match="holds neither"):
        load_pretrained(build_network(config), config)
    (tmp_path / "config.json").write_text("{", "utf-8")
    with pytest.raises(TrainingError, match="no JSON"):
        build_network(config)
    (tmp_path / "config.json").unlink()
    with pytest.raises(TrainingError, match="cannot be read"):
        build_network(config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_layers": 3}, "n_layers is 3, not 1 to 2"),
        ({"states": (3,)}, r"states \[3\] do not exist with 2 blocks"),
        ({"states": (0, 1), "state_weights": (1.0,)}, "are 1, not 2"),
        ({"frozen": "convolutions", "n_frozen": 3}, "n_frozen is 3, not 0 to 2"),
        ({"frozen": "all", "n_frozen": 1}, "set frozen = 'convolutions'"),
        ({"padding": "fixed", "window_s": 0.1}, "window_s is 0.1"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(kind="distilhubert", **options))
