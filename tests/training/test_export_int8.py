import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")

from espressivo.training.export import (
    collect_activations,
    find_matmuls,
    to_onnx,
)
from espressivo.training.export.quantize import int8, targets
from espressivo.training.export.quantize.ranges import fake_quantize
from espressivo.training.export.session import open_proto
from tests.training.networks_to_export import make_network


@pytest.fixture(scope="module")
def bursts():
    """Noise that comes and goes, as loudness of speech does."""
    rng = np.random.default_rng(0)
    loudness = 10.0 ** rng.uniform(-3, 0, (12, 16)).repeat(1_000, axis=1)
    noise = rng.normal(size=loudness.shape) * loudness * 0.1
    return list(noise.astype(np.float32))


@pytest.fixture(scope="module")
def fp32():
    return to_onnx(make_network("distilhubert", head="mean", states=(-1,)))


def frames_of(model, value, signals):
    """Return all frames [N, channels] of a value."""
    session = open_proto(model, [value])
    return np.concatenate(
        [session.run([value], {"samples": s[None]})[0][0] for s in signals]
    )


def test_an_integer_convolution_keeps_its_mean(fp32, bursts, monkeypatch):
    """By a bias that the exact one has not."""
    monkeypatch.setattr(targets, "_LEAST_WEIGHTS", 0)
    (matmul,) = (m for m in find_matmuls(fp32) if m.name == "conv.2")
    calibration = collect_activations(
        fp32, targets.values_to_calibrate([matmul]), bursts
    )

    def moved():
        quantized = int8.quantize_matmuls(fp32, calibration, [matmul])
        found = frames_of(quantized, "conv.2", bursts).mean(0)
        return np.abs(found - frames_of(fp32, "conv.2", bursts).mean(0)).mean()

    kept = moved()
    monkeypatch.setattr(int8._QdqWriter, "_keep_mean", lambda *_: None)
    assert kept < 0.75 * moved()


def test_a_row_is_quantized_by_its_own_largest_number(fp32, bursts):
    """However quiet it is, but for silence."""
    rows = frames_of(fp32, "projection.scaled", bursts)
    exact = frames_of(fp32, "conv.6.gelu", bursts)
    scale = frames_of(fp32, "projection.scale", bursts)
    low, high = min(rows.min(), 0.0), max(rows.max(), 0.0)

    np.testing.assert_allclose(rows * scale, exact, atol=1e-6)
    assert low >= -0.34
    assert high <= 1.0
    lost = np.abs(fake_quantize(rows, low, high) * scale - exact)
    assert (lost <= 1.35 / 255 * scale).all()
