import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.errors import ConfigError  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.network import count_parameters  # noqa: E402


def noise(n_samples, seed=0, level=0.1):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(NetworkConfig(kind="statistics")).eval()


@torch.inference_mode()
def test_statistics_are_numpys(network):
    frames = network.front(noise(9000))
    mel = frames.values[0].numpy().astype(np.float64)
    wanted = [mel.mean(0), mel.std(0), mel.min(0), mel.max(0)]
    wanted.append(np.abs(np.diff(mel, axis=0)).mean(0))
    got = network.pooled(frames)[0].numpy()
    np.testing.assert_allclose(got, np.concatenate(wanted), atol=1e-5)


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
def test_fit_standardizes_the_training_recordings(network):
    batches = [network.front(noise(9000, seed=i).repeat(2, 1)) for i in range(3)]
    batches.append(network.front(noise(4000, seed=9)))
    network.fit(iter(batches))
    rows = torch.cat([network.pooled(frames) for frames in batches])
    seen = torch.cat([network.embedding(frames) for frames in batches])
    torch.testing.assert_close(seen.mean(0), torch.zeros(400), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        network.standardize.scale, rows.std(0) + 1e-4, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_silence_has_finite_logits(network):
    lengths = torch.tensor([3200, 8000])
    assert network(torch.zeros(2, 8000), lengths).isfinite().all()


def test_only_the_classifier_is_trained(network):
    assert network.blocks() == []
    assert count_parameters(network) == (1604, 1604)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "fixed"}, "network.padding is 'fixed'.*choose 'valid'"),
        ({"frozen": "all"}, "network.frozen is 'all'.*leave it out"),
        ({"head": "mean"}, "network.head is 'mean'.*leave it out"),
    ],
)
def test_what_it_lacks_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(kind="statistics", **options))


def test_settings_of_an_encoder_are_refused():
    with pytest.raises(ConfigError, match="no settings of an encoder"):
        build_network(NetworkConfig(kind="statistics"), {"hidden_size": 3})
