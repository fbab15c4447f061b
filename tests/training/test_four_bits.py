import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from espressivo.errors import ExportError  # noqa: E402
from espressivo.training.export import calibrate, products_of, to_onnx  # noqa: E402
from espressivo.training.export.quantize.gptq import observe_inputs  # noqa: E402
from espressivo.training.export.quantize.int4 import (  # noqa: E402
    choose_grid,
    pack,
    quantize_four_bits,
    round_to_grid,
    values_of_levels,
)
from espressivo.training.export.quantize.matmuls import values_of  # noqa: E402
from espressivo.training.export.session import open_proto  # noqa: E402
from tests.training.networks_to_export import logits_of, make_network  # noqa: E402

LAST = "blocks.0.down"


@pytest.fixture(scope="module")
def fp32():
    return to_onnx(make_network("whisper", n_layers=1, head="mean"))


@pytest.fixture(scope="module")
def calibration(fp32, note):
    windows = [note[a : a + 48_000] for a in range(0, 300_000, 50_000)]
    return calibrate(fp32, values_of(products_of(fp32)), windows)


def tensors_of(model):
    return {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}


def grid_of(model, weight, exact):
    """The weights [in, out] that a graph stores."""
    stored = tensors_of(model)
    levels = stored[f"{weight}.u4"]  # [out, blocks, bytes]
    levels = np.stack([levels & 15, levels >> 4], -1).reshape(*levels.shape[:2], -1)
    scale = stored[f"{weight}.scale_u4"].reshape(len(levels), -1, 1)
    zeros = stored[f"{weight}.zero_u4"].reshape(len(levels), -1)
    zeros = np.stack([zeros & 15, zeros >> 4], -1).reshape(len(levels), -1)
    zeros = zeros[:, : levels.shape[1], None].astype(np.float64)
    return ((levels - zeros) * scale).reshape(len(levels), -1).T[: len(exact)]


def random_rows(n, n_in, seed=0):
    """Inputs that move together, as those of a network do."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n_in // 4)) @ rng.normal(size=(n_in // 4, n_in))


@given(st.lists(st.integers(0, 15), min_size=1, max_size=9))
def test_packing_keeps_every_level(levels):
    packed = pack(np.array(levels, float))
    back = np.stack([packed & 15, packed >> 4], -1).ravel()[: len(levels)]

    assert back.tolist() == levels
    assert len(packed) == (len(levels) + 1) // 2


@given(st.integers(0, 10_000), st.sampled_from([16, 32]), st.integers(1, 70))
def test_weights_that_are_on_a_grid_are_kept(seed, block, n_in):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 16, (n_in, 3)).astype(float)
    levels[0], levels[-1] = 0, 15  # the ends of the first and last block's range
    exact = (levels - 5) * 0.25
    grid = choose_grid(exact[:block], block)

    found = round_to_grid(exact[:block], grid, None)

    if n_in <= block and n_in > 1:
        np.testing.assert_allclose(values_of_levels(found, grid), exact, atol=1e-6)


@given(st.integers(0, 10_000))
def test_the_error_is_at_most_half_a_step_inside_the_range(seed):
    exact = np.random.default_rng(seed).normal(size=(64, 4))
    grid = choose_grid(exact)
    back = values_of_levels(round_to_grid(exact, grid, None), grid)
    step = np.repeat(grid.scale, 32, 0)
    lowest, highest = (np.repeat((n - grid.zero) * grid.scale, 32, 0) for n in (0, 15))
    inside = (exact >= lowest) & (exact <= highest)

    assert (np.abs(back - exact)[inside] <= 0.51 * step[inside]).all()
    assert inside.mean() > 0.8


def test_errors_handed_on_change_a_product_less():
    exact = np.random.default_rng(1).normal(size=(128, 32))
    rows = random_rows(400, 128)
    grid = choose_grid(exact)
    changes = [
        np.square(
            rows @ (values_of_levels(round_to_grid(exact, grid, i), grid) - exact)
        ).mean()
        for i in (None, observe_inputs(rows.T @ rows))
    ]

    assert changes[1] < 0.5 * changes[0]


@pytest.mark.parametrize("block", [16, 32, 64])
def test_the_runtime_multiplies_by_what_the_levels_stand_for(fp32, note, block):
    int4 = quantize_four_bits(fp32, None, block=block)
    written_out = onnx.ModelProto()
    written_out.CopyFrom(fp32)
    for product in products_of(fp32):
        (tensor,) = (
            w for w in written_out.graph.initializer if w.name == product.weight
        )
        exact = numpy_helper.to_array(tensor)
        back = grid_of(int4, product.weight, exact)
        assert back.shape == exact.shape
        assert 0 < np.abs(back - exact).mean() < 0.1 * np.abs(exact).mean()
        tensor.CopyFrom(numpy_helper.from_array(back.astype(np.float32), tensor.name))
    samples = note[None, 30_000:90_000]

    found, wanted = (logits_of(model, samples) for model in (int4, written_out))

    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 * np.ptp(wanted))


def test_calibrated_weights_change_answers_less(fp32, calibration, note):
    clips = [note[None, a : a + 48_000] for a in range(20_000, 320_000, 60_000)]
    wanted = np.concatenate([logits_of(fp32, clip) for clip in clips])

    nearest, calibrated = (
        np.square(
            np.concatenate([logits_of(int4, clip) for clip in clips]) - wanted
        ).mean()
        for int4 in (
            quantize_four_bits(fp32, None),
            quantize_four_bits(fp32, calibration),
        )
    )

    assert calibrated < nearest


def test_a_product_keeps_its_mean(fp32, calibration, note):
    others = [p.name for p in products_of(fp32) if p.name != LAST]
    windows = [note[a : a + 48_000] for a in range(0, 300_000, 50_000)]
    int4 = quantize_four_bits(fp32, calibration, others)
    means = []
    for model in (fp32, int4):
        session = open_proto(model, [LAST])
        seen = [session.run([LAST], {"samples": w[None]})[0][0] for w in windows]
        means.append(np.concatenate(seen).mean(0))

    np.testing.assert_allclose(*means, rtol=0, atol=1e-4 * np.abs(means[0]).max())


def test_four_bits_and_scales_are_all_that_is_stored(fp32):
    n_weights = sum(
        tensors_of(fp32)[product.weight].size for product in products_of(fp32)
    )
    saved = fp32.ByteSize() - quantize_four_bits(fp32, None).ByteSize()

    per_weight = 4 - saved / n_weights  # bytes: a half, and 4.5 for every 32
    assert per_weight == pytest.approx(0.5 + 4.5 / 32, abs=0.01)


def test_convolutions_get_eight_bits(note):
    fp32 = to_onnx(make_network("light_sernet", padding="fixed", window_s=3.0))
    rounded = quantize_four_bits(fp32, None)
    samples = note[None, 30_000:78_000]
    wanted, found = logits_of(fp32, samples), logits_of(rounded, samples)

    n_weights = sum(tensors_of(fp32)[p.weight].size for p in products_of(fp32))
    saved = fp32.ByteSize() - rounded.ByteSize()
    assert saved == pytest.approx(3 * n_weights, rel=0.01)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.05 * np.ptp(wanted))


def test_what_is_kept_is_kept(fp32):
    kept = quantize_four_bits(fp32, None, ["blocks.*"])
    stored = tensors_of(kept)

    assert f"{LAST}.weight" in stored
    assert "conv1.weight" not in stored
    with pytest.raises(ExportError, match="no product is called 'nothing'"):
        quantize_four_bits(fp32, None, ["nothing"])
