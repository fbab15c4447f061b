"""A network's MACs as torch counts them, and as a profile does."""

from __future__ import annotations

import pytest

from espressivo.bench import profile

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from espressivo.training.export import to_onnx  # noqa: E402
from espressivo.training.networks import NetworkConfig, build_network  # noqa: E402

N_SAMPLES = 8 * 16_000


def macs_in_torch(network):
    counter = FlopCounterMode(display=False)
    # Attention as two products: it is not counted where it is one operator.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network(torch.randn(1, N_SAMPLES))
    return counter.get_total_flops() / 2


def test_macs_of_distilhubert_are_those_that_torch_counts():
    torch.manual_seed(0)
    config = NetworkConfig(
        kind="distilhubert", head="mean", states=(-1,), frozen="convolutions"
    )
    network = build_network(config).eval()

    found = profile(to_onnx(network).SerializeToString(), seconds=8, runs=1)

    # The graph leaves out a frame of the positions that torch computes and drops, and
    # adds the statistics of the first convolution.
    assert found.macs == pytest.approx(macs_in_torch(network), rel=0.001)
    assert round(found.macs / 1e9, 1) == 27.8
