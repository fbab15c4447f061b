import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("transformers", reason="needs the extra 'train'")

from onnx import TensorProto, numpy_helper  # noqa: E402

from espressivo.errors import ExportError  # noqa: E402
from espressivo.training.export import to_onnx  # noqa: E402
from espressivo.training.export.quantize.fp16 import exact_nodes, to_fp16  # noqa: E402
from tests.training.networks_to_export import logits_of, make_network  # noqa: E402

NETWORKS = {
    "distilhubert": {"head": "mean"},
    "wav2vec2": {"head": "pepino"},
    "whisper": {"n_layers": 1, "head": "attentive"},
    "light_sernet": {"padding": "fixed", "window_s": 3.0},
    "statistics": {},
}


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request):
    fp32 = to_onnx(make_network(request.param, **NETWORKS[request.param]), 1.7)
    return fp32, to_fp16(fp32)


def test_it_answers_as_fp32_does(pair, note):
    fp32, fp16 = pair
    spread = []
    for start, length in ((0, 128_000), (30_000, 8_001), (90_000, 40_000)):
        samples = note[None, start : start + length]
        wanted, found = logits_of(fp32, samples), logits_of(fp16, samples)

        np.testing.assert_allclose(found, wanted, rtol=0, atol=0.01 * np.ptp(wanted))
        spread.append(wanted)
    assert np.ptp(np.concatenate(spread)) > 0


@pytest.mark.parametrize("level", [0.0, 1e-8, 1e-4, 1.0])
def test_no_level_overflows_or_vanishes(pair, level):
    fp32, fp16 = pair
    square = np.where(np.arange(128_000) // 40 % 2, level, -level)[None]
    samples = square.astype(np.float32)

    wanted, found = logits_of(fp32, samples), logits_of(fp16, samples)

    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.02 * np.ptp(wanted))


def test_samples_and_probabilities_stay_float32(pair):
    _, fp16 = pair
    outside = [*fp16.graph.input, *fp16.graph.output]

    assert [v.name for v in outside] == ["samples", "probabilities"]
    assert {v.type.tensor_type.elem_type for v in outside} == {TensorProto.FLOAT}


def test_an_encoder_takes_half_the_bytes():
    fp32 = to_onnx(make_network("whisper", n_layers=2, head="mean"))

    assert to_fp16(fp32).ByteSize() < 0.52 * fp32.ByteSize()


def test_the_front_end_is_exact_and_no_value_is_rounded_between_exact_nodes(pair):
    fp32, fp16 = pair
    exact = exact_nodes(fp32)
    made_by = {o: n.name for n in fp32.graph.node for o in n.output}
    weights = {w.name for w in fp16.graph.initializer}
    original = {n.name: n for n in fp32.graph.node}

    for node in fp16.graph.node:
        if node.name not in exact:
            continue
        for now, before in zip(node.input, original[node.name].input, strict=True):
            if before == "samples" or made_by.get(before) in exact:
                assert now == before
            if before in weights:
                assert now == before
    assert {"probabilities"} < exact


def test_weights_of_products_are_stored_once_as_fp16():
    fp32 = to_onnx(make_network("distilhubert", head="mean"))
    fp16 = to_fp16(fp32)
    stored = {w.name: w for w in fp16.graph.initializer}

    assert stored["blocks.0.up.weight.f16"].data_type == TensorProto.FLOAT16
    assert "blocks.0.up.weight" not in stored


def test_a_weight_beyond_fp16_is_refused():
    fp32 = to_onnx(make_network("distilhubert", head="mean"))
    (tensor,) = (w for w in fp32.graph.initializer if w.name == "blocks.0.up.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] = 1e6
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    with pytest.raises(ExportError, match=r"blocks\.0\.up\.weight reaches 1e\+06"):
        to_fp16(fp32)


def test_a_foreign_graph_is_refused():
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Abs", ["x"], ["y"], "y")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))

    with pytest.raises(ExportError, match="computes none of mel"):
        to_fp16(model)
