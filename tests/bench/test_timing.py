from __future__ import annotations

import onnxruntime as ort
import pytest

from espressivo.bench import peak_bytes, time_graphs
from espressivo.bench.timing import in_turn
from espressivo.bench.window_runner import open_samples_graph, window_runner
from espressivo.errors import ModelError
from espressivo.model.session import session_options
from tests.bench.graphs import graph, node, onnx, product, random, shaped


def in_bytes(*nodes, **settings):
    return graph(list(nodes), **settings).SerializeToString()


RELU = in_bytes(node("Relu", ["samples"], "y"))


def test_models_take_turns_and_the_first_round_does_not_count():
    calls = []

    def measure(name):
        calls.append(name)
        return len(calls)

    steps = []
    found = in_turn(
        {name: lambda name=name: measure(name) for name in "abc"},
        3,
        lambda: steps.append(len(calls)),
    )

    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert rounds == ["abc", "bca", "cab", "abc"]
    assert found == {"a": [6, 8, 10], "b": [4, 9, 11], "c": [5, 7, 12]}
    assert steps == list(range(1, 13))


def test_every_round_of_every_graph_is_told():
    found = time_graphs({"a": RELU, "b": RELU}, seconds=0.1, rounds=4)

    assert {name: len(times) for name, times in found.items()} == {"a": 4, "b": 4}
    assert min(found["a"] + found["b"]) > 0


def test_zero_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds is 0"):
        time_graphs({"a": RELU}, rounds=0)


def test_a_window_of_noise_reaches_the_graph_once():
    seen = graph([node("Identity", ["samples"], "y")])
    run = window_runner(
        open_samples_graph(seen.SerializeToString(), session_options()), seconds=0.5
    )

    ((first,), (second,)) = run(), run()

    assert first.shape == (1, 8000)
    assert first.std() == pytest.approx(0.1, rel=0.05)
    assert (first == second).all()


DOUBLE = onnx.TensorProto.DOUBLE
REFUSED = {
    "no model": (b"hello", "is no ONNX model, or cut off"),
    "nothing": (b"", "is no ONNX model, or cut off"),
    "newer operators": (
        in_bytes(node("Relu", ["samples"], "y"), opset=99),
        r"operator set 99, and onnxruntime \S+ has those up to \d+",
    ),
    "operator of another set": (
        in_bytes(node("Swish", ["samples"], "y")),
        "operator set 17 has no operator Swish; export it",
    ),
    "operator of a vendor": (
        in_bytes(node("Baz", ["samples"], "y", domain="com.microsoft")),
        "has no operator .*Baz; export it",
    ),
    "another type": (
        in_bytes(node("Cast", ["samples"], "y", to=1), kind=DOUBLE),
        r"inputs are `samples` tensor\(double\) .*, not one of float32",
    ),
    "another rank": (
        in_bytes(node("Relu", ["samples"], "y"), shape=("batch", 80, "frames")),
        "not one of float32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_cannot_be_measured_is_refused_in_a_line(name):
    model, message = REFUSED[name]

    with pytest.raises(ModelError, match=f"^mine: .*{message}") as caught:
        open_samples_graph(model, session_options(), "mine")

    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)


def test_a_fixed_shape_must_be_that_of_the_window():
    def run(*shape):
        fixed = in_bytes(node("Relu", ["samples"], "y"), shape=shape)
        session = open_samples_graph(fixed, session_options())
        return window_runner(session, 0.5)()

    assert run(1, 8000)[0].shape == (1, 8000)
    with pytest.raises(ModelError, match=r"takes 48000 samples.*pass --seconds 3"):
        run("batch", 48_000)
    with pytest.raises(ModelError, match="takes 4 windows at once"):
        run(4, "time")


def test_a_length_that_the_graph_cannot_compute_is_told():
    first, constants = shaped(1, -1, 160)
    model = graph([first, node("Relu", ["x"], "y")], constants)
    session = open_samples_graph(model.SerializeToString(), session_options())

    assert window_runner(session, 0.5)()[0].shape == (1, 50, 160)
    with pytest.raises(ModelError, match=r"fails on 0\.505 s of samples"):
        window_runner(session, 0.505)()


def test_a_peak_holds_the_weights_and_what_is_computed():
    # 32 MB of weights, at most a few copies of them while they are loaded.
    heavy = product(1, 8000, 1000).SerializeToString()
    first, constants = shaped(1, 8000)
    wide = graph(  # 64 MB computed with 8 kB of weights
        [
            first,
            node("Transpose", ["x"], "column", perm=[1, 0]),
            node("MatMul", ["column", "row"], "square"),
            node("ReduceSum", ["square"], "y"),
        ],
        constants | {"row": random(1, 2000)},
    ).SerializeToString()

    light_bytes, heavy_bytes, wide_bytes = (
        peak_bytes(model, seconds=0.5) for model in (RELU, heavy, wide)
    )

    assert 0 < light_bytes < 64e6  # what any first model costs
    assert 32e6 < heavy_bytes - light_bytes < 160e6
    assert 60e6 < wide_bytes - light_bytes < 100e6


def test_a_child_that_fails_says_why():
    with pytest.raises(ModelError, match=r"^the graph: is no ONNX model"):
        peak_bytes(b"hello")


def test_sessions_optimize_and_use_the_threads_asked_for():
    options = session_options(3)

    assert options.intra_op_num_threads == 3
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL
