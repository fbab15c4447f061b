import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.errors import ConfigError, TrainingError  # noqa: E402
from espressivo.training.networks import (  # noqa: E402
    NetworkConfig,
    build_network,
    encoder_settings,
    load_pretrained,
)
from espressivo.training.networks.logmel import LogMel, mel_filters  # noqa: E402
from espressivo.training.networks.whisper import (  # noqa: E402
    EncoderSize,
    WhisperEncoder,
    load_encoder,
)

POOLINGS = ("statistics", "attentive")


def noise(n_samples, seed=0, level=0.1):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


@pytest.fixture(params=POOLINGS)
def network(request):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(n_layers=2, head=request.param))
    torch.nn.init.normal_(network.classify.weight)
    return network.eval()


def numpy_log_mel(samples):
    """Whisper's definition, frame by frame, in double precision."""
    samples = samples.astype(np.float64)
    samples = samples / np.abs(samples).max() * 0.95
    n_frames = len(samples) // 160
    padded = np.concatenate([samples[200:0:-1], samples, np.zeros(200)])
    window = np.hanning(401)[:-1]
    frames = np.stack([padded[160 * t :][:400] * window for t in range(n_frames)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    level = np.log10(np.maximum(mel_filters(16_000, 400, 80) @ power.T, 1e-10))
    return (np.maximum(level, level.max() - 8) + 4) / 4


def test_mel_filters_are_librosas():
    filters = pytest.importorskip("librosa").filters.mel(
        sr=16_000, n_fft=400, n_mels=80
    )
    np.testing.assert_allclose(mel_filters(16_000, 400, 80), filters, atol=1e-8)


@pytest.mark.parametrize("n_samples", [8000, 16_001, 24_159])
def test_log_mel_equals_its_definition(n_samples):
    samples = noise(n_samples)
    got = LogMel()(samples)[0].numpy()
    np.testing.assert_allclose(got, numpy_log_mel(samples[0].numpy()), atol=1e-4)


@torch.inference_mode()
def test_padding_changes_nothing(network):
    lengths = torch.tensor([8000, 12_345, 24_001])
    rows = [noise(int(n), seed=i) for i, n in enumerate(lengths)]
    batch = torch.full((3, 30_000), 0.7)  # what lies in the padding must not matter
    for row, signal in zip(batch, rows, strict=True):
        row[: signal.shape[1]] = signal
    together = network(batch, lengths)
    alone = torch.cat([network(signal) for signal in rows])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("gain_db", [-20.0, 6.0])
def test_gain_changes_nothing(network, gain_db):
    samples = noise(16_000)
    louder = samples * 10 ** (gain_db / 20)
    torch.testing.assert_close(network(louder), network(samples), atol=1e-3, rtol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("n_samples", [8000, 128_000])
def test_silence_has_finite_logits(network, n_samples):
    logits = network(torch.zeros(1, n_samples))
    assert logits.isfinite().all()


def test_every_trained_parameter_has_a_gradient(network):
    network.train()(noise(8000), torch.tensor([8000])).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_states_choose_what_is_averaged():
    torch.manual_seed(0)
    network = build_network(NetworkConfig(n_layers=2, states=(2,))).eval()
    with torch.inference_mode():
        states = network.encoder(network.logmel(noise(8000)))
        frames, _ = network.joined_frames(network.front(noise(8000)))
    torch.testing.assert_close(frames, states[2])


def test_the_last_state_is_minus_one():
    last = build_network(NetworkConfig(n_layers=2, states=(0, -1)))
    assert last.states == (0, 2)


@torch.inference_mode()
@pytest.mark.parametrize("frozen", ["nothing", "all"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([8000, 12_345])])
def test_concatenated_means_are_those_of_each_state(frozen, lengths):
    torch.manual_seed(0)
    options = {"n_layers": 3, "head": "mean", "frozen": frozen}
    network = build_network(
        NetworkConfig(states=(1, 3, 2), join="concatenate", **options)
    ).eval()
    samples = torch.cat([noise(16_000), noise(16_000, seed=1)])

    pooled = network.pooled(network.front(samples, lengths))

    parts = []
    for state in (1, 3, 2):
        alone = build_network(NetworkConfig(states=(state,), **options)).eval()
        alone.encoder.load_state_dict(network.encoder.state_dict())
        parts.append(alone.pooled(alone.front(samples, lengths)))
    assert network.classify.in_features == 3 * 384
    torch.testing.assert_close(pooled, torch.cat(parts, 1), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_statistics_of_concatenated_states_are_means_then_deviations():
    torch.manual_seed(0)
    config = NetworkConfig(n_layers=2, states=(1, 2), join="concatenate")
    network = build_network(config).eval()

    pooled = network.pooled(network.front(noise(16_000)))

    states = network.encoder(network.logmel(noise(16_000)))
    frames = torch.cat(states[1:], 2)
    wanted = torch.cat([frames.mean(1), frames.var(1, correction=0).sqrt()], 1)
    torch.testing.assert_close(pooled, wanted, atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_frozen_means_are_one_frame_a_clip():
    """All frames of three states would fill the cache with a megabyte a clip."""
    options = {"n_layers": 2, "states": (0, 1, 2), "join": "concatenate"}
    lengths = torch.tensor([16_000])

    def front(**more):
        return build_network(NetworkConfig(**options, **more)).front(
            noise(16_000), lengths
        )

    assert front(frozen="all", head="mean").values.shape == (1, 1, 3, 384)
    assert front(frozen="all", head="mean").counts.tolist() == [1]
    assert front(frozen="all", head="statistics").values.shape == (1, 50, 3, 384)
    assert front(frozen="nothing", head="mean").values.shape == (1, 100, 80)


def test_dropout_spares_what_is_frozen():
    torch.manual_seed(0)
    options = {"n_layers": 2, "encoder_dropout": 0.5, "dropout": 0.0}
    samples = noise(8000)
    frozen = build_network(NetworkConfig(frozen="all", **options)).train()
    torch.testing.assert_close(frozen(samples), frozen(samples))
    trained = build_network(NetworkConfig(frozen="convolutions", **options)).train()
    assert not torch.allclose(trained(samples), trained(samples))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "pepino"}, "network.head is 'pepino'.*choose 'mean' or"),
        ({"padding": "fixed"}, "network.padding is 'fixed'.*choose 'valid'"),
        ({"states": (0, 1), "state_weights": (1.0,)}, "are 1, not 2; give one"),
        ({"join": "sum"}, "network.join is 'sum'.*choose 'average' or 'concatenate'"),
        (
            {"join": "concatenate", "states": (0, 1), "state_weights": (1.0, 2.0)},
            "leave them out to concatenate",
        ),
    ],
)
def test_what_it_lacks_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(**options))


# Names and sizes of openai-whisper; tiny.en has tiny's size.
SIZES = {
    "tiny": (384, 4, 6),
    "base": (512, 6, 8),
    "small": (768, 12, 12),
    "medium": (1024, 24, 16),
}


def write_encoder(path, width=384, n_blocks=1, change=None):
    """Write random weights in half precision, with the final norm, as published."""
    torch.manual_seed(0)
    encoder = WhisperEncoder(EncoderSize(width, n_blocks))
    state = dict(encoder.state_dict())
    state |= {"ln_post.weight": torch.ones(width), "ln_post.bias": torch.zeros(width)}
    if change is not None:
        change(state)
    save_file({name: tensor.half() for name, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("name", ["tiny", "base", "small", "medium"])
@torch.inference_mode()
def test_the_size_is_read_from_the_weights(tmp_path, name):
    width, _, n_heads = SIZES[name]
    # Two blocks of a real width: a whole medium encoder would be 600 MB.
    weights = write_encoder(tmp_path / "w.safetensors", width, 2)
    config = NetworkConfig(weights=str(weights), states=(1, 2), head="mean")

    network = build_network(config).eval()
    load_pretrained(network, config)

    assert encoder_settings(network) == {"width": width, "n_blocks": 2}
    assert {block.attn.n_heads for block in network.encoder.blocks} == {n_heads}
    assert network(noise(8000)).isfinite().all()


@pytest.mark.parametrize(
    ("file", "width", "n_parameters"),
    [
        ("whisper_tiny_en_encoder_fp16", 384, 8_208_384),
        ("whisper_base_encoder_fp16", 512, 20_590_592),
    ],
)
def test_published_encoders_load_whole(shared, file, width, n_parameters):
    path = shared / "weights" / f"{file}.safetensors"
    config = NetworkConfig(weights=str(path))

    network = build_network(config)
    load_pretrained(network, config)

    found = sum(p.numel() for p in network.encoder.parameters())
    found += network.encoder.positions.numel() + 2 * width  # and the final norm
    assert found == n_parameters


def test_the_lowest_blocks_are_kept(tmp_path):
    weights = write_encoder(tmp_path / "w.safetensors", n_blocks=3)
    config = NetworkConfig(weights=str(weights), n_layers=2)
    network = build_network(config)
    load_pretrained(network, config)

    whole = build_network(NetworkConfig(weights=str(weights)))
    load_pretrained(whole, whole.config)

    assert encoder_settings(network) == {"width": 384, "n_blocks": 2}
    for name, tensor in network.encoder.state_dict().items():
        torch.testing.assert_close(tensor, whole.encoder.state_dict()[name])


def test_without_weights_it_has_the_size_of_tiny():
    network = build_network(NetworkConfig())
    assert encoder_settings(network) == {"width": 384, "n_blocks": 4}
    assert network.encoder.blocks[0].attn.n_heads == SIZES["tiny"][2]


@pytest.mark.parametrize("n_layers", [0, 1])
def test_it_is_built_again_without_the_weights(tmp_path, n_layers):
    weights = write_encoder(tmp_path / "w.safetensors", 512, 2)
    config = NetworkConfig(weights=str(weights), n_layers=n_layers)
    network = build_network(config)
    weights.unlink()

    again = build_network(config, encoder_settings(network))

    again.load_state_dict(network.state_dict())
    assert again.states == network.states


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 768}, "not of Whisper's encoder"),
        ({"width": 500, "n_blocks": 2}, "no Whisper encoder has this size"),
        ({"width": 512, "n_blocks": 0}, "no Whisper encoder has this size"),
    ],
)
def test_settings_of_another_network_are_refused(settings, message):
    with pytest.raises(TrainingError, match=message):
        build_network(NetworkConfig(), settings)


@pytest.mark.parametrize(
    "config", [NetworkConfig(n_layers=5), NetworkConfig(n_layers=2, states=(3,))]
)
def test_layers_that_do_not_exist_are_refused(config):
    with pytest.raises(ConfigError, match=r"not 1 to 4|do not exist"):
        build_network(config)


def test_weights_load_exactly_and_spare_blocks_are_left_out(tmp_path):
    four = build_network(NetworkConfig(n_layers=4)).encoder
    save_file({k: v.half() for k, v in four.state_dict().items()}, tmp_path / "w")
    two = build_network(NetworkConfig(n_layers=2)).encoder
    load_encoder(two, tmp_path / "w")
    for name, tensor in two.state_dict().items():
        torch.testing.assert_close(tensor, four.state_dict()[name].half().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv1.weight"), "holds no tensor 'conv1.weight'"),
        (
            lambda state: state.update({"conv1.bias": torch.zeros(3)}),
            r"'conv1.bias' is \(3,\), not \(384,\)",
        ),
    ],
)
def test_foreign_weights_are_refused(tmp_path, change, message):
    encoder = build_network(NetworkConfig(n_layers=1)).encoder
    state = dict(encoder.state_dict())
    change(state)
    save_file(state, tmp_path / "w")
    with pytest.raises(TrainingError, match=message):
        load_encoder(encoder, tmp_path / "w")


def rename(state):
    for name in [*state]:
        state["model.encoder." + name] = state.pop(name)


def widen_mel(state):
    state["conv1.weight"] = torch.zeros(384, 128, 3)


def narrow_mlp(state):
    state["blocks.0.mlp.0.weight"] = torch.zeros(768, 384)


def drop_block(state):
    for name in [n for n in state if n.startswith("blocks.0.")]:
        state["blocks.2" + name.removeprefix("blocks.0")] = state.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, r"holds no tensors 'conv1.weight' \[width, 80, 3\] and 'blocks.0"),
        (widen_mel, "reads 128 mel bands, not 80, as that of Whisper large-v3"),
        (narrow_mlp, r"'blocks.0.mlp.0.weight' \(768, 384\), not"),
        (drop_block, r"holds blocks \[1, 2\], not 0 to 1"),
    ],
)
def test_weights_of_another_encoder_are_refused(tmp_path, change, message):
    weights = write_encoder(tmp_path / "w.safetensors", n_blocks=2, change=change)
    with pytest.raises(TrainingError, match=message):
        build_network(NetworkConfig(weights=str(weights)))


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no header")
    with pytest.raises(TrainingError, match="is no safetensors file; pass a Whisper"):
        build_network(NetworkConfig(weights=str(tmp_path / "w.safetensors")))


def test_missing_weights_are_named(tmp_path):
    encoder = build_network(NetworkConfig(n_layers=1)).encoder
    with pytest.raises(TrainingError, match="no such file"):
        load_encoder(encoder, tmp_path / "none")


@torch.inference_mode()
def test_attention_equals_torchs():
    torch.manual_seed(0)
    ours = build_network(NetworkConfig(n_layers=1)).encoder.blocks[0].attn
    theirs = torch.nn.MultiheadAttention(384, 6, batch_first=True)
    parts = [ours.query.weight, ours.key.weight, ours.value.weight]
    theirs.in_proj_weight.copy_(torch.cat(parts))
    biases = [ours.query.bias, torch.zeros(384), ours.value.bias]
    theirs.in_proj_bias.copy_(torch.cat(biases))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 7, 384)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[0, 5:] = True
    bias = torch.zeros(2, 7).masked_fill(mask, -math.inf)[:, None, None]
    wanted, _ = theirs(x, x, x, key_padding_mask=mask, need_weights=False)
    torch.testing.assert_close(ours(x, bias), wanted, atol=1e-5, rtol=1e-5)
