import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from torch.nn import functional  # noqa: E402

from espressivo.errors import ConfigError, TrainingError  # noqa: E402
from espressivo.training.export.graph.to_onnx import to_onnx  # noqa: E402
from espressivo.training.export.session import open_proto  # noqa: E402
from espressivo.training.networks import (  # noqa: E402
    NetworkConfig,
    build_network,
    load_pretrained,
)
from espressivo.training.networks.registry import encoder_settings  # noqa: E402


def noise(n_samples, seed=0, level=0.1):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


def make(**settings):
    torch.manual_seed(0)
    config = NetworkConfig(kind="whisper_stem", frozen="all", **settings)
    return build_network(config).eval()


@torch.inference_mode()
def test_the_embedding_is_mean_and_deviation_of_both_convolutions():
    network = make(width=64)
    samples = noise(20_000)
    first = functional.gelu(network.conv1(network.logmel(samples)))
    second = functional.gelu(network.conv2(first))
    wanted = [part for x in (first, second) for part in (x.mean(2), x.std(2))]
    got = network.pooled(network.front(samples))
    # The sample's deviation, and the root's floor, differ in the third digit.
    torch.testing.assert_close(got, torch.cat(wanted, 1), atol=2e-3, rtol=2e-2)
    assert make(width=64, n_layers=1).classify.in_features == 128


@torch.inference_mode()
def test_padding_changes_nothing():
    network = make(width=64)
    lengths = torch.tensor([3200, 12_345, 20_000])
    rows = [noise(int(n), seed=i) for i, n in enumerate(lengths)]
    batch = torch.full((3, 30_000), 0.7)  # what lies in the padding must not matter
    for row, signal in zip(batch, rows, strict=True):
        row[: signal.shape[1]] = signal
    alone = torch.cat([network(signal) for signal in rows])
    torch.testing.assert_close(network(batch, lengths), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("seconds", [0.5, 1.23, 8.0])
def test_the_graph_gives_the_networks_probabilities(n_layers, seconds):
    network = make(width=64, n_layers=n_layers)
    samples = noise(round(16_000 * seconds))
    with torch.inference_mode():
        wanted = network(samples).softmax(-1).numpy()
    (got,) = open_proto(to_onnx(network)).run(None, {"samples": samples.numpy()})
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_the_convolutions_are_whispers(shared):
    weights = str(shared / "weights/whisper_tiny_en_encoder_fp16.safetensors")
    config = NetworkConfig(kind="whisper_stem", frozen="all", weights=weights)
    stem = build_network(config)
    load_pretrained(stem, config)
    whole = NetworkConfig(weights=weights, n_layers=1)
    encoder = build_network(whole)
    load_pretrained(encoder, whole)
    torch.testing.assert_close(stem.conv2.weight, encoder.encoder.conv2.weight)
    torch.testing.assert_close(stem.conv1.bias, encoder.encoder.conv1.bias)
    assert encoder_settings(stem) == {"width": 384}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frozen": "nothing"}, "network.frozen is 'nothing'"),
        ({"head": "mean"}, "network.head is 'mean'"),
        ({"n_layers": 3}, "network.n_layers is 3, not 1 or 2"),
    ],
)
def test_settings_that_it_does_not_have(settings, message):
    config = {"kind": "whisper_stem", "frozen": "all"} | settings
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(**config))


def test_settings_of_another_network():
    config = NetworkConfig(kind="whisper_stem", frozen="all")
    with pytest.raises(TrainingError, match="have no width"):
        build_network(config, {"depth": 3})
