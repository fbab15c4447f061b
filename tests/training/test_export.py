from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import ExportError  # noqa: E402
from espressivo.model.session import open_session, session_options  # noqa: E402
from espressivo.training.export import (  # noqa: E402
    collect_activations,
    find_matmuls,
    quantize,
    to_onnx,
)
from espressivo.training.export.checks import parity  # noqa: E402
from espressivo.training.export.quantize.calibration import center_logits  # noqa: E402
from espressivo.training.export.quantize.fp16 import halve_constants  # noqa: E402
from espressivo.training.export.quantize.gptq import (  # noqa: E402
    input_statistics,
    quantize_weights,
)
from espressivo.training.export.quantize.int8 import quantize_matmuls  # noqa: E402
from espressivo.training.export.session import open_proto  # noqa: E402
from espressivo.training.networks.logmel import (  # noqa: E402
    fourier_kernels,
    mel_filters,
)
from espressivo.training.networks.whisper import load_encoder  # noqa: E402
from tests.training.runs_to_export import (  # noqa: E402
    TEMPERATURE,
    by_torch,
    make_network,
)

WINDOW = 128_000
LENGTHS = [8_000, 8_001, 12_345, 16_159, 16_160, 40_000, 77_777, WINDOW - 1, WINDOW]


def ask(model, samples):
    (found,) = open_proto(model).run(["probabilities"], {"samples": samples})
    return found


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def exact(network):
    return to_onnx(network, TEMPERATURE)


@pytest.fixture(scope="module")
def clips(note):
    edges = [0, 20_000, 48_000, 90_000, 98_500, 160_000, 200_000, 320_000]
    return [note[a:b] for a, b in pairwise(edges)]


@pytest.fixture(scope="module")
def calibration(exact, clips):
    values = list(dict.fromkeys(m.value for m in find_matmuls(exact)))
    return collect_activations(exact, values, clips)


@pytest.fixture(scope="module")
def int8(exact, calibration):
    return quantize(exact, calibration)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_graph_is_the_network_at_any_length(network, exact, note, length):
    samples = note[None, 30_000 : 30_000 + length]

    np.testing.assert_allclose(
        ask(exact, samples), by_torch(network, samples), atol=1e-5
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layers": 2, "states": (1,)},
        {"n_layers": 2, "states": (0, 2)},
        {"head": "attentive"},
        {
            "n_layers": 2,
            "states": (0, 2),
            "state_weights": (0.4, 0.6),
            "head": "mean",
        },
        {"n_layers": 2, "join": "concatenate", "head": "mean"},
        {"n_layers": 2, "join": "concatenate", "states": (2, 1)},
        {"n_layers": 2, "join": "concatenate", "states": (1,), "head": "mean"},
        {"n_layers": 2, "join": "concatenate", "head": "attentive"},
        {"n_layers": 2, "join": "concatenate", "head": "mean", "frozen": "all"},
    ],
    ids=str,
)
def test_every_kind_of_network_exports(note, settings):
    network = make_network(**settings)
    samples = note[None, 50_000:90_000]

    found = ask(to_onnx(network, TEMPERATURE), samples)

    np.testing.assert_allclose(found, by_torch(network, samples), atol=1e-5)


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("whisper_tiny_en_encoder_fp16", {"n_layers": 2}),
        (
            "whisper_base_encoder_fp16",
            {"n_layers": 3, "states": (2, 3), "join": "concatenate", "head": "mean"},
        ),
    ],
)
def test_whispers_own_weights_export(shared, note, file, settings):
    weights = shared / "weights" / f"{file}.safetensors"
    network = make_network(weights=str(weights), **settings)
    load_encoder(network.encoder, weights)
    model = to_onnx(network, TEMPERATURE)

    drift = parity.require_parity(network, model, TEMPERATURE, [note])

    assert drift < 1e-5


def test_blocks_above_the_last_state_are_absent():
    model = to_onnx(make_network(n_layers=3, states=(0, 1)))

    names = {tensor.name for tensor in model.graph.initializer}
    assert any(name.startswith("blocks.0.") for name in names)
    assert not any(name.startswith(("blocks.1.", "blocks.2.")) for name in names)


def test_only_plain_operators(int8):
    assert [(i.domain, i.version) for i in int8.opset_import] == [("", 20)]
    kinds = {node.op_type for node in int8.graph.node}
    assert not kinds & {"STFT", "DFT", "Loop", "If", "Scan", "Conv"}


@pytest.mark.parametrize("kind", ["exact", "int8"])
class TestBothPrecisions:
    def test_a_batch_equals_its_rows(self, kind, clips, request):
        model = request.getfixturevalue(kind)
        batch = np.stack([clip[:8_000] for clip in clips])

        together = ask(model, batch)

        alone = np.concatenate([ask(model, row[None]) for row in batch])
        np.testing.assert_allclose(together, alone, atol=1e-6)

    @pytest.mark.parametrize("gain_db", [-20, -6, 6])
    def test_gain_changes_nothing(self, kind, note, gain_db, request):
        model = request.getfixturevalue(kind)
        samples = note[None, :50_001]
        louder = samples * np.float32(10 ** (gain_db / 20))

        np.testing.assert_allclose(ask(model, samples), ask(model, louder), atol=0.01)

    def test_silence_is_finite(self, kind, request):
        found = ask(request.getfixturevalue(kind), np.zeros((2, 9_000), np.float32))

        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_int8_is_close_and_small(exact, int8, clips):
    found = parity.compare_graphs(exact, int8, clips)

    assert found.worst < 0.02
    assert int8.ByteSize() < 0.4 * exact.ByteSize()


def test_quantization_keeps_the_mean_logits(exact, int8, clips):
    centered = center_logits(exact, int8, clips)

    wanted, found = (
        np.log(parity.probabilities(model, clips)) for model in (exact, centered)
    )
    shift = (found - wanted).mean(0)
    np.testing.assert_allclose(shift - shift.mean(), 0, atol=1e-5)


def test_the_front_end_stays_exact(exact, int8):
    products = [f"{name}.product" for name in ("real", "imaginary", "energy")]
    before, after = (
        [list(n.input) for n in model.graph.node if n.name in products]
        for model in (exact, int8)
    )
    assert before == after
    stored = {t.name: t.data_type for t in int8.graph.initializer}
    assert stored["conv1.weight.s8"] == onnx.TensorProto.INT8


def test_tables_are_computed_from_their_formulas(network, exact):
    names = ["real.kernel", "imaginary.kernel", "filters", "positions"]
    session = open_proto(exact, names)
    found = session.run(names, {"samples": np.zeros((1, 8_000), np.float32)})

    kernels = fourier_kernels(400).T[1:201]  # of samples 1 to 200
    cosines, sines = kernels[:, 1:200].copy(), kernels[:, 202:-1]
    cosines[-1] /= 2
    filters = mel_filters(16_000, 400, 80)[:, 1:-1].T
    positions = network.encoder.positions[:400].numpy()
    for table, wanted in zip(found, (cosines, sines, filters, positions), strict=True):
        np.testing.assert_allclose(table, wanted, rtol=1e-6, atol=1.2e-7)


def test_tables_are_computed_when_the_graph_is_opened(exact, tmp_path):
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    open_session(exact.SerializeToString(), options)

    kinds = {n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node}
    made = {"Cast", "ConstantOfShape", "Cos", "Gather", "Mod", "Range", "Sin"}
    assert made < {node.op_type for node in exact.graph.node}
    assert not kinds & {*made, "ScatterElements"}


def test_constants_that_fp16_holds_are_stored_as_fp16(network, int8, note):
    # The norms are ones and zeros; those of a checkpoint are fp16 as well.
    halved = halve_constants(int8)

    before = {t.name: t for t in int8.graph.initializer}
    after = {t.name: t for t in halved.graph.initializer}
    for role in ("blocks.0.attn_ln.scale", "blocks.0.up.weight.scale_s8"):
        assert role not in after
        assert after[f"{role}.f16"].data_type == onnx.TensorProto.FLOAT16
    assert after["blocks.0.up.bias"] == before["blocks.0.up.bias"]
    np.testing.assert_array_equal(
        ask(halved, note[None, :40_000]), ask(int8, note[None, :40_000])
    )
    assert halved.ByteSize() < int8.ByteSize()


@pytest.mark.parametrize(
    ("file", "settings", "most_bytes"),
    [
        ("tiny_en", {"n_layers": 3, "states": (1, 2, 3)}, 6_000_000),
        ("base", {"n_layers": 4, "states": (2, 3, 4)}, 15_000_000),
    ],
)
def test_the_bundled_models_sizes(shared, clips, file, settings, most_bytes):
    weights = shared / "weights" / f"whisper_{file}_encoder_fp16.safetensors"
    network = make_network(
        weights=str(weights), head="mean", join="concatenate", **settings
    )
    load_encoder(network.encoder, weights)
    fp32 = to_onnx(network, TEMPERATURE)
    values = list(dict.fromkeys(m.value for m in find_matmuls(fp32)))
    calibrated = collect_activations(fp32, values, clips[:3])

    int8 = halve_constants(quantize(fp32, calibrated))

    assert int8.ByteSize() < most_bytes - 20_000  # left for the embedding and a name
    assert parity.compare_graphs(fp32, int8, clips).top1 == 1


def test_what_is_kept_stays_exact(exact, calibration):
    model = quantize(exact, calibration, keep=["blocks.0.attn.*", "conv?"])

    stored = {tensor.name for tensor in model.graph.initializer}
    rounded = {name.split(".weight.")[0] for name in stored if name.endswith(".s8")}
    assert rounded == {"blocks.0.up", "blocks.0.down"}


def test_quantizing_nothing_changes_nothing(exact, calibration, clips):
    same = quantize_matmuls(exact, calibration, [])

    assert parity.compare_graphs(exact, same, clips[:2]).worst == 0


def test_a_pattern_without_a_layer_is_refused(exact):
    with pytest.raises(ExportError, match=r"no layer is called 'block\.7'.*conv1"):
        find_matmuls(exact, ["block.7"])


def test_weights_quantized_for_their_inputs_err_less():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 64))  # they move together
    inputs += 0.05 * rng.normal(size=inputs.shape)
    exact = rng.normal(size=(64, 32))

    levels, scale = quantize_weights(exact, input_statistics(inputs.T @ inputs))

    nearest = np.round(exact / scale) * scale
    assert levels.dtype == np.int8
    assert np.abs(levels).max() <= 127
    errors = [np.square(inputs @ (exact - w)).sum() for w in (levels * scale, nearest)]
    assert errors[0] < 0.5 * errors[1]


@given(seed=st.integers(0, 2**32 - 1), n_inputs=st.integers(1, 40))
@settings(max_examples=30)
def test_no_two_neighbours_exceed_16_bits(seed, n_inputs):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(50, n_inputs)) * rng.lognormal(size=n_inputs)
    exact = rng.standard_t(3, size=(n_inputs, 8))

    levels, _ = quantize_weights(exact, input_statistics(inputs.T @ inputs))

    level = np.pad(levels.astype(int), ((0, n_inputs % 2), (0, 0)))
    for sign in (1, -1):
        one_sign = np.maximum(sign * level, 0)
        assert 255 * (one_sign[::2] + one_sign[1::2]).max() < 2**15


def test_independent_inputs_round_to_the_nearest():
    exact = np.random.default_rng(0).normal(size=(16, 4))

    levels, scale = quantize_weights(exact, input_statistics(np.eye(16)))

    np.testing.assert_array_equal(levels, np.round(exact / scale))


def test_a_defect_is_found_and_its_layer_named(network, exact, clips):
    broken = onnx.ModelProto()
    broken.CopyFrom(exact)
    for tensor in broken.graph.initializer:
        if tensor.name == "blocks.0.up.bias":
            wrong = onnx.numpy_helper.to_array(tensor) + np.float32(1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(wrong, tensor.name))

    with pytest.raises(ExportError, match=r"hidden\.1 is the first state to drift"):
        parity.require_parity(network, broken, TEMPERATURE, clips)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_is_a_positive_number(network, temperature):
    with pytest.raises(ExportError, match="not a positive number"):
        to_onnx(network, temperature)


def test_an_unknown_network_says_so():
    with pytest.raises(ExportError, match="Linear: no export is written"):
        to_onnx(torch.nn.Linear(2, 2))
