import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from espressivo.errors import ConfigError, TrainingError  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.logmel import LogMel, mel_filters  # noqa: E402
from espressivo.training.networks.whisper import load_encoder  # noqa: E402

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
        frames, _ = network.average_frames(network.front(noise(8000)))
    torch.testing.assert_close(frames, states[2])


def test_the_last_state_is_minus_one():
    last = build_network(NetworkConfig(n_layers=2, states=(0, -1)))
    assert last.states == (0, 2)


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
    ],
)
def test_what_it_lacks_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(**options))


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
