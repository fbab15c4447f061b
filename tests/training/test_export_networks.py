import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from espressivo.training.clips.preprocess import condition  # noqa: E402
from espressivo.training.config import SignalConfig  # noqa: E402
from espressivo.training.export import (  # noqa: E402
    collect_activations,
    find_matmuls,
    quantize,
    to_onnx,
    values_to_calibrate,
)
from espressivo.training.export.checks import parity  # noqa: E402
from espressivo.training.export.graph.tiling import tile_convolution  # noqa: E402
from espressivo.training.export.session import open_proto  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402
from espressivo.training.networks.mfcc import normalize_window  # noqa: E402
from tests.training.networks_to_export import (  # noqa: E402
    ENCODERS,
    logits_of,
    make_network,
    shake,
    wanted_logits,
)

HEADS = ("mean", "statistics", "attentive", "superb", "pepino")
LENGTHS = (8_000, 12_345, 40_001)
WINDOW = 128_000


def require_same(network, model, rows, temperature=1.0, heard=None):
    """Assert that graph and torch agree, and that they would not on other sound."""
    wanted = [wanted_logits(network, row, temperature) for row in heard or rows]
    found = [logits_of(model, row) for row in rows]

    scale = np.abs(np.concatenate(wanted)).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)
    if len(rows) > 1:
        assert np.std(np.concatenate(wanted), axis=0).max() > 1e-4 * scale


@pytest.fixture
def rows(note):
    return [note[None, 30_000 : 30_000 + n] for n in LENGTHS]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_exports_under_every_head(rows, kind, head):
    network = make_network(kind, head=head)

    require_same(network, to_onnx(network, 1.7), rows, 1.7)


@pytest.mark.parametrize(
    "choices",
    [
        {"states": (-1,)},
        {"states": (0, 2), "state_weights": (0.3, 0.7)},
        {"n_layers": 1},
        {"n_layers": 1, "states": (0,)},
        {"padding": "fixed", "window_s": 1.5},
        {"padding": "fixed", "head": "pepino"},
        {"frozen": "convolutions"},
        {"frozen": "convolutions", "n_frozen": 1},
        {"frozen": "all", "padding": "fixed", "window_s": 1.0},
        {"frozen": "all", "head": "pepino"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["distilhubert", "wav2vec2"])
def test_every_choice_of_an_encoder_exports(rows, kind, choices):
    network = make_network(kind, **{"head": "statistics"} | choices)

    require_same(network, to_onnx(network), rows)


@pytest.mark.parametrize("frozen", ["convolutions", "all"])
def test_what_was_frozen_does_not_change_the_graph(frozen):
    graphs = [
        to_onnx(make_network("hubert", head="mean", frozen=choice))
        for choice in ("nothing", frozen)
    ]

    assert graphs[0].SerializeToString() == graphs[1].SerializeToString()


@pytest.mark.parametrize("kind", ["distilhubert", "wav2vec2"])
def test_the_published_widths_export(kind, note):
    torch.manual_seed(0)  # two blocks: wav2vec2 has ten more of the same
    network = build_network(NetworkConfig(kind, head="mean", n_layers=2, states=(-1,)))
    model = to_onnx(shake(network))

    require_same(network, model, [note[None, 40_000:56_123]])


@pytest.mark.parametrize("window_s", [3.0, 7.0])
def test_light_sernet_exports_at_any_length(note, window_s):
    network = make_network("light_sernet", padding="fixed", window_s=window_s)
    n = round(window_s * 16_000)
    lengths = (8_000, 8_001, 24_239, n - 1, n, n + 1, n + 1_000, WINDOW)

    rows = [note[None, 20_000 : 20_000 + n] for n in lengths]

    require_same(network, to_onnx(network, 0.7), rows, 0.7)


def test_light_sernets_convolutions_are_quantized_and_its_spectrum_does_not(note):
    network = make_network("light_sernet", padding="fixed", window_s=3.0)
    exact = to_onnx(network)
    matmuls = find_matmuls(exact)
    clips = [note[n : n + 48_000] for n in range(0, 336_000, 48_000)]

    int8 = quantize(
        exact, collect_activations(exact, values_to_calibrate(matmuls), clips[:4])
    )

    assert [p.name for p in matmuls] == [f"body.{i}" for i in range(5)]
    assert int8.ByteSize() < 0.6 * exact.ByteSize()
    drift = parity.compare_graphs(exact, int8, clips[4:])
    assert 0 < drift.worst < 0.01


@pytest.fixture(scope="module")
def window():
    """From samples to what LIGHT-SERNET makes a spectrum of, over 3 s."""
    model = to_onnx(make_network("light_sernet", padding="fixed", window_s=3.0))
    session = open_proto(model, ["window.clipped"])
    return lambda samples: session.run(["window.clipped"], {"samples": samples})[0]


@given(n=st.integers(1, 60_000), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_the_window_is_that_of_training(window, n, seed):
    rows = np.random.default_rng(seed).normal(size=(2, n)).astype(np.float32)

    found = window(rows)

    wanted = [normalize_window(torch.from_numpy(row), 48_000).numpy() for row in rows]
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-7)


def test_a_window_of_almost_only_zeros(window):
    """The quantile is zero, and what is left of the clip is at full scale."""
    samples = np.zeros((1, 40_000), np.float32)
    samples[0, 20_000:20_030] = -0.01

    found = window(samples)

    assert sorted(set(found[0].tolist())) == [-1, 0]
    assert np.count_nonzero(found) == 30


def test_the_statistics_network_exports(rows):
    network = make_network("statistics")

    require_same(network, to_onnx(network), rows)


STUDY = SignalConfig(pre_emphasis=0.97, peak=0.95)


@pytest.mark.parametrize(
    "config",
    [STUDY, SignalConfig(pre_emphasis=0.9), SignalConfig(peak=0.5)],
    ids=["study", "pre-emphasis", "peak"],
)
@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("distilhubert", {}),
        ("hubert", {"padding": "fixed", "window_s": 1.5}),
        ("whisper", {"n_layers": 1}),
        ("light_sernet", {"padding": "fixed", "window_s": 3.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_done_to_clips_is_in_the_graph(rows, kind, choices, config):
    network = make_network(kind, **choices)
    model = to_onnx(network, signal=config)

    heard = [condition(row[0], config)[None] for row in rows]
    require_same(network, model, rows, heard=heard)
    if config.pre_emphasis:  # all of these networks take a level away by themselves
        without = [wanted_logits(network, row) for row in rows]
        assert np.abs(without[0] - logits_of(model, rows[0])).max() > 2e-4


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("distilhubert", {"head": "attentive"}),
        ("wav2vec2", {"padding": "fixed", "window_s": 1.0, "head": "pepino"}),
        ("light_sernet", {"padding": "fixed", "window_s": 3.0}),
        ("statistics", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_batch_equals_its_rows(note, kind, choices):
    model = to_onnx(make_network(kind, **choices), signal=STUDY)
    batch = np.stack([note[n : n + 20_000] for n in (20_000, 70_000, 120_000)])
    batch[1] *= 0.01
    batch[2] = 0  # silence beside speech

    together = logits_of(model, batch)

    alone = np.concatenate([logits_of(model, row[None]) for row in batch])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [400, 3_200, 8_000, 12_345, WINDOW])
def test_a_graph_in_tiles_answers_the_same(note, length):
    exact = to_onnx(make_network("hubert", head="mean"))
    tiled = tile_convolution(exact)
    batch = np.stack([note[n : n + length] for n in (20_000, 150_000)])

    assert len(tiled.graph.node) > len(exact.graph.node)
    np.testing.assert_allclose(logits_of(tiled, batch), logits_of(exact, batch), 1e-5)
