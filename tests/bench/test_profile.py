from __future__ import annotations

import tempfile

import numpy as np
import pytest

from espressivo.bench import GraphProfile, profile
from espressivo.bench.onnx_file import read_graph
from espressivo.bench.profiling import NodeCost
from espressivo.errors import ModelError
from espressivo.model.find import find_model
from tests.bench.graphs import (
    SECONDS,
    convolution,
    dynamic,
    graph,
    node,
    onnx,
    product,
    random,
    shaped,
    static,
)


def costs(model, **settings):
    """The profile of a model, which may be bytes already."""
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    return profile(model, SECONDS, runs=1, **settings)


def macs_of_kind(found):
    return {cost.operator: cost.macs for cost in found.by_operator() if cost.macs}


def as_written(model, _):
    return model


CONVOLUTIONS = {
    # 960 samples as 8 channels of 120 frames; each output sums 8 * 5 products.
    "1d": (convolution(8, (5,)), 8 * 116 * 8 * 5),
    "1d, stride": (convolution(8, (5,), strides=[2]), 8 * 58 * 8 * 5),
    "1d, groups": (
        convolution(16, (4,), groups=4, pads=[2, 1]),
        16 * 60 * (16 // 4) * 4,
    ),
    "1d, each channel alone": (convolution(8, (3,), groups=8), 8 * 118 * 3),
    # 32 channels, which onnxruntime lays out in blocks on x86.
    "2d": (convolution(32, (3, 3), size=(6, 5)), 32 * 4 * 3 * 32 * 9),
}


@pytest.mark.parametrize("form", [as_written, dynamic, static])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_macs_of_a_convolution_are_those_of_its_definition(name, form, tmp_path):
    model, wanted = CONVOLUTIONS[name]

    assert costs(form(model, tmp_path)).macs == wanted


def test_convolutions_in_eight_bits_are_other_kernels(tmp_path):
    model, wanted = CONVOLUTIONS["1d"]

    assert macs_of_kind(costs(dynamic(model, tmp_path))) == {"ConvInteger": wanted}
    assert macs_of_kind(costs(static(model, tmp_path))) == {"QLinearConv": wanted}


@pytest.mark.parametrize("form", [as_written, dynamic, static])
def test_macs_of_a_product_are_those_of_its_definition(form, tmp_path):
    found = costs(form(product(10, 96, 64), tmp_path))

    assert found.macs == 10 * 96 * 64


def test_macs_of_turned_and_batched_products():
    first, constants = shaped(4, 15, 16)
    scores = graph(
        [
            first,
            node("Transpose", ["x"], "turned", perm=[0, 2, 1]),
            node("MatMul", ["turned", "x"], "inner"),  # 4 x [16, 15] [15, 16]
            node("ReduceMean", ["inner"], "mean", axes=[0], keepdims=0),  # [16, 16]
            node("Gemm", ["mean", "weight"], "y", transA=1, transB=1),
        ],
        constants | {"weight": random(3, 16)},
    )

    assert costs(scores).macs == 4 * 16 * 15 * 16 + 16 * 16 * 3


def test_macs_of_attention_with_its_projections():
    first, constants = shaped(1, 30, 32)
    whole = graph(
        [
            first,
            node(
                "Attention",
                ["x", "weight", "bias"],
                "y",
                num_heads=4,
                domain="com.microsoft",
            ),
        ],
        constants | {"weight": random(32, 96), "bias": random(96)},
    )

    assert costs(whole).macs == 30 * 32 * 96 + 2 * 30 * 30 * 32


def test_macs_of_attention_among_given_queries_keys_and_values():
    first, constants = shaped(1, 30, 32)
    mixed = graph(
        [
            first,
            node(
                "MultiHeadAttention",
                ["x", "x", "x"],
                "y",
                num_heads=4,
                domain="com.microsoft",
            ),
        ],
        constants,
    )

    assert costs(mixed).macs == 2 * 30 * 30 * 32


def test_macs_of_four_bit_weights():
    first, constants = shaped(1, 10, 96)
    blocks = {
        "packed": np.zeros((64, 96 // 32, 16), np.uint8),
        "scales": np.ones(64 * 3),
    }
    four_bits = graph(
        [
            first,
            node(
                "MatMulNBits",
                ["x", "packed", "scales"],
                "y",
                K=96,
                N=64,
                bits=4,
                block_size=32,
                domain="com.microsoft",
            ),
        ],
        constants | blocks,
    )

    assert costs(four_bits).macs == 10 * 96 * 64


def test_macs_of_the_bundled_model_are_those_of_its_architecture():
    frames, width, mlp = 400, 384, 1536
    spectrum = 2 * 800 * 200 * 199 + 800 * 199 * 80
    convolutions = 800 * (3 * 80) * width + frames * (3 * width) * width
    attention = 4 * frames * width**2 + 2 * frames**2 * width
    block = attention + 2 * frames * width * mlp
    # Four emotions and the background, from the means of three states.
    classes = 5 * (3 * width)
    voice = 12 * (3 * width)  # three dimensions, no speech, eight axes
    dimensions = 2 * (3 * width)  # arousal and valence
    whole = spectrum + convolutions + 3 * block + classes + dimensions + voice

    found = profile((find_model("espressivo-tiny") / "model.onnx").read_bytes(), runs=1)

    assert found.macs == whole


def test_nodes_are_called_by_the_first_value_they_compute():
    first, constants = shaped(1, 10, 96)
    rest = [node("MatMul", ["x", "weight"], "product"), node("Relu", ["product"], "y")]

    found = costs(graph([first, *rest], constants | {"weight": random(96, 64)}))

    assert [n.output for n in found.nodes] == ["x", "product", "y"]
    assert [n.operator for n in found.nodes] == ["Reshape", "MatMul", "Relu"]
    assert all(n.seconds >= 0 for n in found.nodes)


def test_fused_nodes_are_called_by_what_is_left_of_their_values():
    found = costs(convolution(8, (5,)))

    assert (found.nodes[-1].operator, found.nodes[-1].output) == ("FusedConv", "y")


def test_kinds_of_operator_sum_to_the_whole():
    nodes = (
        NodeCost("a", "a", "MatMul", 0.25, 100),
        NodeCost("b", "b", "Add", 0.5, 0),
        NodeCost("c", "c", "MatMul", 0.5, 50),
    )
    found = GraphProfile(nodes)

    kinds = [(k.operator, k.calls, k.seconds, k.macs) for k in found.by_operator()]
    assert kinds == [("MatMul", 2, 0.75, 150), ("Add", 1, 0.5, 0)]
    assert (found.seconds, found.macs) == (1.25, 150)


def test_a_profile_leaves_no_file_behind(tmp_path, monkeypatch):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    costs(product(10, 96, 64))
    broken = graph([node("Relu", ["samples"], "y")], shape=("batch", 5))
    with pytest.raises(ModelError, match="takes 5 samples, not 960"):
        costs(broken)

    assert not [*here.iterdir(), *temporary.iterdir()]


def test_no_run_is_no_profile():
    with pytest.raises(ValueError, match="runs is 0"):
        profile(b"", runs=0)


@pytest.mark.parametrize("model", ["espressivo-tiny", "silero"])
def test_the_file_is_read_as_onnx_reads_it(model):
    folder = find_model("espressivo-tiny")
    path = (
        folder.parents[1] / "silero_vad.onnx"
        if model == "silero"
        else folder / "model.onnx"
    )
    wanted = onnx.load(path).graph

    nodes, shapes = read_graph(path.read_bytes())

    assert shapes == {t.name: tuple(t.dims) for t in wanted.initializer}
    assert [(n.name, n.operator) for n in nodes] == [
        (n.name, n.op_type) for n in wanted.node
    ]
    assert [n.inputs for n in nodes] == [tuple(n.input) for n in wanted.node]
    assert [n.outputs for n in nodes] == [tuple(n.output) for n in wanted.node]
    for ours, theirs in zip(nodes, wanted.node, strict=True):
        whole = {
            a.name: tuple(a.ints) or (a.i,)
            for a in theirs.attribute
            if a.type in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS)
        }
        signed = {
            name: tuple(v - 2**64 if v >= 2**63 else v for v in ours.attributes[name])
            for name in whole
        }
        assert signed == whole
