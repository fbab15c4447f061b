import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from espressivo.errors import ConfigError  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.mfcc import Mfcc, normalize_window  # noqa: E402
from espressivo.training.networks.network import count_parameters  # noqa: E402


def noise(n_samples, seed=0, level=0.1):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, n_samples, generator=generator)


def make(**options):
    torch.manual_seed(0)
    options = {"window_s": 3.0, "dropout": 0.3, **options}
    return build_network(
        NetworkConfig(kind="light_sernet", padding="fixed", **options)
    ).eval()


def numpy_mfcc(samples):
    """TensorFlow's documentation, formula by formula, in double precision."""
    dct = pytest.importorskip("scipy.fft").dct
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    n_frames = 1 + (len(samples) - 1024) // 256
    frames = np.stack([samples[256 * t :][:1024] * window for t in range(n_frames)])
    magnitude = np.abs(np.fft.rfft(frames.astype(np.float64)))

    def mel(hz):
        return 2595 * np.log10(1 + hz / 700)

    edges = np.linspace(mel(80), mel(7600), 130)
    weights = np.zeros((513, 128))
    for k in range(1, 513):
        m = mel(k * 16_000 / 1024)
        for b in range(128):
            lower, centre, upper = edges[b : b + 3]
            slopes = (m - lower) / (centre - lower), (upper - m) / (upper - centre)
            weights[k, b] = max(0, min(slopes))
    level = np.log(magnitude @ weights + 1e-6)
    mfcc = dct(level, type=2, axis=-1) / np.sqrt(2 * 128)
    return np.clip(mfcc[:, :40], -10, 10)


def test_it_has_the_published_size():
    everything, trained = count_parameters(make())
    assert everything == 462_468
    assert trained == 462_468 - 2 * (3 * 32 + 64 + 96 + 128 + 160 + 320)


@pytest.mark.parametrize(("window_s", "n_frames"), [(3.0, 184), (7.0, 434)])
def test_frames_are_as_many_as_published(window_s, n_frames):
    frames = make(window_s=window_s).front(noise(20_000))
    assert frames.values.shape == (1, n_frames, 40)
    assert frames.counts is None


@pytest.mark.parametrize("seed", [0, 1])
def test_mfcc_equal_their_definition(seed):
    samples = noise(9000, seed)
    np.testing.assert_allclose(
        Mfcc()(samples)[0].numpy(), numpy_mfcc(samples[0].numpy()), atol=2e-3
    )


def test_mfcc_of_speech_equal_their_definition(note):
    samples = note[16_000:32_000]
    got = Mfcc()(torch.tensor(samples)[None])[0].numpy()
    np.testing.assert_allclose(got, numpy_mfcc(samples), atol=2e-3)


def test_mel_weights_are_librosas_where_it_has_them():
    librosa = pytest.importorskip("librosa")
    wanted = librosa.filters.mel(
        sr=16_000, n_fft=1024, n_mels=128, fmin=80, fmax=7600, htk=True, norm=None
    )
    # librosa's triangles are straight in Hz, TensorFlow's in mel: the peaks agree.
    got = Mfcc().filters.numpy().T
    np.testing.assert_allclose(got, wanted, atol=0.02)
    assert not got[:, 0].any()


@pytest.mark.parametrize("n_samples", [3200, 47_999, 48_000, 48_001, 70_001])
def test_windows_are_scaled_then_padded_alike_on_both_sides(n_samples):
    clip = noise(n_samples)[0]
    clip[n_samples // 2] = 5.0
    got = normalize_window(clip, 48_000).numpy()
    first = max(0, n_samples - 48_000) // 2
    middle = clip.numpy()[first : first + 48_000]
    scaled = np.clip(middle / np.percentile(np.abs(middle), 99.9), -1, 1)
    before = (48_000 - len(middle)) // 2
    wanted = np.pad(scaled, (before, 48_000 - len(middle) - before))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("window_s", [3.0, 7.0])
def test_padding_changes_nothing(window_s):
    network = make(window_s=window_s)
    lengths = torch.tensor([3200, 40_001, 60_000])
    rows = [noise(int(n), seed=i) for i, n in enumerate(lengths)]
    batch = torch.full((3, 130_000), 0.7)  # what lies in the padding must not matter
    for row, signal in zip(batch, rows, strict=True):
        row[: signal.shape[1]] = signal
    alone = torch.cat([network(signal) for signal in rows])
    torch.testing.assert_close(network(batch, lengths), alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_gain_changes_nothing():
    network, samples = make(), noise(30_000)
    torch.testing.assert_close(network(0.1 * samples), network(samples))


@torch.inference_mode()
@pytest.mark.parametrize("n_samples", [3200, 48_000])
def test_silence_has_finite_logits(n_samples):
    assert make()(torch.zeros(1, n_samples)).isfinite().all()


def keras_convolution(x, layer):
    """`same` convolution of x [T, F, C], its kernel [kt, kf, C, N], one by one."""
    kernel = layer.weight.detach().double().numpy().transpose(2, 3, 1, 0)
    height, width = kernel.shape[:2]
    padded = np.pad(x, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    taps = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (0, 1))
    out = np.einsum("tfcij,ijcn->tfn", taps, kernel)
    return out if layer.bias is None else out + layer.bias.detach().numpy()


def keras_block(x, block):
    x = keras_convolution(x, block[0])
    norm = {k: v.double().numpy() for k, v in block[1].state_dict().items()}
    x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-3)
    x = np.maximum(0, x * norm["weight"] + norm["bias"])
    if len(block) < 4:
        return x
    height, width = block[3].kernel_size
    pooled = np.empty((-(-x.shape[0] // height), -(-x.shape[1] // width), x.shape[2]))
    for t, f in np.ndindex(pooled.shape[:2]):
        cell = x[height * t : height * (t + 1), width * f : width * (f + 1)]
        pooled[t, f] = cell.mean((0, 1))  # what is padding does not count
    return pooled


@torch.inference_mode()
def test_the_network_is_that_of_the_reference_layer_by_layer():
    network = make()
    generator = torch.Generator().manual_seed(5)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not name.startswith("standardize"):
            tensor.copy_(0.1 + 0.1 * torch.rand(tensor.shape, generator=generator))
    mfcc = torch.randn(1, 27, 40, generator=generator)  # odd lengths, to pool unevenly
    x = mfcc[0].double().numpy()[..., None]
    x = np.concatenate([keras_block(x, path) for path in network.paths], -1)
    for block in network.body:
        x = keras_block(x, block)
    got = network.pooled(network.front(noise(5000))._replace(values=mfcc))
    np.testing.assert_allclose(got[0].numpy(), x.mean((0, 1)), rtol=1e-4)


def test_it_learns_two_tones():
    network = make(dropout=0.0).train()
    time = torch.arange(48_000) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (200, 3000)])
    frames = network.front(tones + noise(48_000))
    target = torch.tensor([0, 1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.logits(frames), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None for p in network.parameters())


def test_blocks_hold_every_trained_parameter_but_the_classifier():
    network = make()
    blocks = network.blocks()
    names = {n for n, _ in network.named_parameters() if not n.startswith("classify")}
    held = {
        n
        for n, p in network.named_parameters()
        if any(p is q for b in blocks for q in b)
    }
    assert len(blocks) == 6
    assert held == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "valid"}, "network.padding is 'valid'.*choose 'fixed'"),
        ({"window_s": 8.0}, r"network.window_s is 8.0.*choose 3.0 or 7.0"),
        ({"head": "superb"}, "network.head is 'superb'"),
        ({"frozen": "all"}, "network.frozen is 'all'"),
        ({"weights": "here"}, "network.weights is 'here'"),
    ],
)
def test_what_it_lacks_is_refused(options, message):
    options = {"padding": "fixed", "window_s": 3.0, **options}
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(kind="light_sernet", **options))
