import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from espressivo.errors import ConfigError  # noqa: E402
from espressivo.training.export.graph.to_onnx import to_onnx  # noqa: E402
from espressivo.training.export.session import open_proto  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.logmel import HOP, LogMel  # noqa: E402


def noise(n_samples, seed=0, level=0.1):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = build_network(NetworkConfig(kind="separable", width=16, n_layers=2))
    for block in network.layers:  # as after training
        block.norm.running_mean.normal_(0.0, 0.1)
        block.norm.running_var.uniform_(0.5, 2.0)
    return network.eval()


@torch.inference_mode()
def test_frames_of_20_ms_are_every_second_one_of_whispers():
    samples = noise(16_000)
    every = LogMel()(samples)[..., ::2]
    half = LogMel(hop=2 * HOP)(samples)
    # The loudest frame, which sets the floor, may be one that is left out.
    torch.testing.assert_close(half, every, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_padding_changes_nothing(network):
    lengths = torch.tensor([3200, 12_345, 20_000])
    rows = [noise(int(n), seed=i) for i, n in enumerate(lengths)]
    batch = torch.full((3, 30_000), 0.7)  # what lies in the padding must not matter
    for row, signal in zip(batch, rows, strict=True):
        row[: signal.shape[1]] = signal
    alone = torch.cat([network(signal) for signal in rows])
    torch.testing.assert_close(network(batch, lengths), alone, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_frame_is_computed_of_its_surroundings_alone(network):
    """The kernels reach 4 frames of 40 ms in each of two blocks, and no further."""
    samples = noise(32_000)
    changed = samples.clone()
    changed[:, 30_000:] = 0.05
    frames, others = network.front(samples), network.front(changed)
    before, after = (
        network.layers[1](
            network.layers[0](
                network.stem(f.values.transpose(1, 2)).transpose(1, 2), None
            ),
            None,
        )
        for f in (frames, others)
    )
    same = torch.isclose(before, after, atol=1e-4).all(-1)[0]
    assert same[:30].all()
    assert not same.all()


@pytest.mark.parametrize("seconds", [0.5, 1.23, 8.0])
def test_the_graph_gives_the_networks_probabilities(network, seconds):
    samples = noise(round(16_000 * seconds))
    with torch.inference_mode():
        wanted = network(samples).softmax(-1).numpy()
    (got,) = open_proto(to_onnx(network)).run(None, {"samples": samples.numpy()})
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 12}, "network.width is 12; choose a multiple of 8"),
        ({"weights": "tiny.safetensors"}, "separable has no such choice"),
        ({"head": "mean"}, "network.head is 'mean', which separable does not have"),
    ],
)
def test_settings_that_it_does_not_have(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(kind="separable", **settings))
