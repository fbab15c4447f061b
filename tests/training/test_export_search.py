import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")

import onnx

from espressivo.errors import ExportError
from espressivo.training.export import to_onnx
from espressivo.training.export.checks import parity
from espressivo.training.export.options import unwatched
from espressivo.training.export.quantize.quantizer import calibrate_quantizer
from espressivo.training.export.quantize.targets import (
    QuantizationTarget,
    find_targets,
    without,
)
from espressivo.training.export.search import sensitivity as measuring
from espressivo.training.export.search.measurements import (
    Measurements,
    measured_on,
)
from espressivo.training.export.search.search import (
    choose,
    decision,
    search,
)
from espressivo.training.export.search.sensitivity import (
    Effect,
    Sensitivity,
    owners_of,
)
from tests.training.runs_to_export import make_network


@pytest.fixture(scope="module")
def exact():
    return to_onnx(make_network())


@pytest.fixture(scope="module")
def targets(exact):
    return {target.name: target for target in find_targets(exact)}


@pytest.fixture(scope="module")
def clips(note):
    return [
        note[a : a + n] for a, n in ((0, 20_000), (50_000, 48_000), (99_000, 9_000))
    ]


@pytest.fixture(scope="module")
def quantizer(exact, targets, clips):
    return calibrate_quantizer(exact, targets.values(), clips)


def kinds_of(model):
    return [node.op_type for node in model.graph.node]


def test_targets_are_matmuls_and_what_is_between_them(targets, exact):
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in exact.graph.initializer}
    named = {kind: [] for kind in ("weights", "attention", "operator")}
    for target in targets.values():
        named[target.kind].append(target.name)

    assert named["attention"] == ["blocks.0.attn.scores", "blocks.0.attn.mixed"]
    assert named["operator"] == ["Gelu", "LayerNormalization", "Softmax"]
    for name in named["weights"]:
        assert targets[name].bytes_saved == 3 * weights[f"{name}.weight"].size
    assert {"conv1", "blocks.0.down"} <= {*named["weights"]}
    # The softmax behind the logits gives the answer, which nothing quantizes.
    assert not {"logits", "probabilities"} & {*targets["Softmax"].values}


def test_patterns_keep_targets_of_every_kind(targets):
    left = {target.name for target in without(targets.values(), ["*.attn.*", "Gelu"])}

    assert not {"blocks.0.attn.mixed", "blocks.0.attn.query", "Gelu"} & left
    assert {"conv1", "Softmax"} <= left
    with pytest.raises(ExportError, match=r"no layer is called 'Relu'"):
        without(targets.values(), ["Relu"])


@pytest.mark.parametrize("name", ["blocks.0.attn.mixed", "Gelu", "Softmax"])
def test_any_target_alone_changes_little(quantizer, targets, exact, clips, name):
    model = quantizer.quantize([targets[name]])

    change = parity.compare_graphs(exact, model, clips)
    assert 0 < change.worst < 0.05


def test_no_target_is_the_exact_graph(quantizer, exact, clips):
    assert parity.compare_graphs(exact, quantizer.quantize([]), clips).worst == 0


def test_a_value_that_is_quantized_anyway_is_not_quantized_twice(quantizer, targets):
    matmuls = [target for target in targets.values() if target.matmul is not None]
    alone, more = (
        kinds_of(quantizer.quantize(chosen)).count("QuantizeLinear")
        for chosen in (matmuls, [*matmuls, targets["Softmax"]])
    )

    # Softmax's shares enter a matmul in 8 bits as it is; its scores are new.
    assert more == alone + 1


def test_every_matmul_is_owned_and_moving_is_shared(exact, targets):
    matmuls = [s.matmul for s in targets.values() if s.matmul is not None]

    owners = owners_of(exact, matmuls)

    for matmul in matmuls:
        assert matmul.name in owners[matmul.output]
    assert owners["conv2.unfolded"] == ("conv2",)
    assert set(owners["blocks.0.attn_ln.u8"]) == {
        f"blocks.0.attn.{name}" for name in ("query", "key", "value")
    }
    assert "blocks.0.attn_ln" not in owners  # a norm is there with or without int8


def made_up(**effects):
    targets = [QuantizationTarget(name, "weights", bytes_saved=100) for name in effects]
    return targets, {
        name: Effect(change, share, share) for name, (change, share) in effects.items()
    }


def names_of(targets):
    return {target.name for target in targets}


def test_what_saves_most_time_within_the_budget_is_chosen():
    targets, effects = made_up(a=(0.03, 0.5), b=(0.04, 0.1), c=(0.001, 0.01))

    assert names_of(choose(targets, effects, 0.051)) == {"a", "b", "c"}
    assert names_of(choose(targets, effects, 0.0499)) == {"a", "c"}
    assert names_of(choose(targets, effects, 0.03)) == {"a"}
    assert names_of(choose(targets, effects, 0.029)) == {"c"}
    assert names_of(choose(targets, effects, 0.0001)) == set()


def test_many_that_save_a_little_beat_one_that_saves_much():
    targets, effects = made_up(
        big=(0.03, 0.2), **{f"{n}": (0.01, 0.1) for n in range(9)}
    )

    assert names_of(choose(targets, effects, 0.0301)) == {f"{n}" for n in range(9)}


def test_what_saves_no_time_is_quantized_for_its_bytes_only():
    targets, effects = made_up(fast=(0.01, 0.2), slow=(0.01, -0.1))
    operator = QuantizationTarget("Softmax", "operator")
    effects["Softmax"] = Effect(0.0001, -0.05, -0.05)

    assert names_of(choose([*targets, operator], effects, 0.02)) == {"fast", "slow"}
    assert names_of(choose([*targets, operator], effects, 0.012)) == {"fast"}


class Pretended(Sensitivity):
    """Changes add up as they are, not their squares."""

    def effects(self, _):
        return self.quantizer

    def change_together(self, targets):
        return sum(self.quantizer[target.name].change for target in targets)


def pretended(effects):
    return Pretended(effects, [], None, unwatched)


def test_a_choice_is_measured_as_a_whole_and_tightened():
    targets, effects = made_up(
        **{f"{n}": (0.01, 0.1 + n / 1000) for n in range(8)}, bad=(0.05, 0.01)
    )

    chosen = search(pretended(effects), targets, 0.03)

    # By squares all eight are 0.028; as they add up here, three are 0.03.
    assert names_of(chosen) <= {"5", "6", "7"}
    assert chosen


def test_a_choice_slightly_over_the_budget_is_not_the_last_one_tried():
    targets, effects = made_up(a=(0.01, 0.5), b=(0.009, 0.4), c=(0.001, 0.1))

    # All three are 0.02, by squares 0.0135: the next target allows them as well.
    chosen = names_of(search(pretended(effects), targets, 0.0195))
    assert {"a"} < chosen < {"a", "b", "c"}


def test_a_budget_that_nothing_meets_says_so():
    targets, effects = made_up(a=(0.2, 0.1))

    with pytest.raises(ExportError, match=r"at most 0\.1.*raise --budget"):
        search(pretended(effects), targets, 0.1)


class Interacting(Pretended):
    """Every target changes twice as much as it does alone."""

    def change_together(self, targets):
        return 2 * super().change_together(targets)


def test_a_budget_that_nothing_meets_names_the_least_change():
    targets, effects = made_up(a=(0.09, 0.1))

    with pytest.raises(ExportError, match=r"at most 0\.1; the least was 0\.1800"):
        search(Interacting(effects, [], None, unwatched), targets, 0.1)


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.0, float("nan")])
def test_a_budget_is_a_change_of_probability(budget):
    with pytest.raises(ExportError, match="not a change of probability"):
        search(pretended({}), [], budget)


def test_decisions_say_why():
    fast, slow = Effect(0.1, 1, 0.1), Effect(0.1, -1, -0.1)

    def said(effect, *, quantized=False, kept=False, weighed=True):
        return decision(effect, quantized=quantized, kept=kept, weighed=weighed)

    assert said(fast, quantized=True) == "8 bits"
    assert said(slow, quantized=True) == "8 bits, for its size"
    assert said(fast, kept=True) == "fp32, as asked"
    assert said(slow) == "fp32, saves no time"
    assert said(fast) == "fp32, for what it changes"
    assert said(fast, weighed=False) == "fp32, without a budget"


@pytest.fixture
def few(targets):
    return [targets[name] for name in ("conv1", "blocks.0.attn.scores", "Softmax")]


def never(*_, **__):
    raise AssertionError("measured again")


def test_what_was_measured_is_not_measured_again(quantizer, few, tmp_path, monkeypatch):
    def open_sensitivity(**settings):
        of = measured_on(quantizer.fp32, quantizer.recordings, **settings)
        known = Measurements(tmp_path, of)
        return Sensitivity(quantizer, quantizer.recordings, known, unwatched)

    first = open_sensitivity(ranges="mse").effects(few)
    together = open_sensitivity(ranges="mse").change_together(few)

    monkeypatch.setattr(measuring.parity, "probabilities", never)
    monkeypatch.setattr(measuring, "time_graphs", never)
    assert open_sensitivity(ranges="mse").effects(few) == first
    assert open_sensitivity(ranges="mse").change_together(few[::-1]) == together
    with pytest.raises(AssertionError, match="measured again"):
        open_sensitivity(ranges="minmax").effects(few)


def test_an_interrupted_measurement_keeps_what_it_has(
    quantizer, exact, clips, few, tmp_path
):
    of = measured_on(exact, clips)

    def interrupt(step, done=0, total=0):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sensitivity(quantizer, clips, Measurements(tmp_path, of), interrupt).changes(
            few
        )

    known = Measurements(tmp_path, of)
    assert "change by conv1" in known
    assert "change by Softmax" not in known
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.join("[]"),
        lambda text: text.replace("0.5", '"half"'),
        lambda text: text.replace("0.5", "NaN"),
        lambda text: text.replace("espressivo.measurements/1", "another/1"),
        lambda text: text.replace('"graph": "', '"graph": "0'),
    ],
)
def test_damaged_measurements_are_made_again_with_a_warning(exact, tmp_path, damage):
    of = measured_on(exact, [np.zeros(8_000, np.float32)])
    known = Measurements(tmp_path, of)
    known.put({"change by conv1": 0.5})
    assert Measurements(tmp_path, of)["change by conv1"] == 0.5
    known.path.write_text(damage(known.path.read_text()))

    with pytest.warns(UserWarning, match="holds no measurements of this graph"):
        again = Measurements(tmp_path, of)

    assert "change by conv1" not in again
    again.put({"change by conv1": 0.25})
    assert json.loads(known.path.read_text())["numbers"] == {"change by conv1": 0.25}


def test_measurements_are_of_one_graph_and_one_set_of_recordings(exact, clips):
    other = onnx.ModelProto()
    other.CopyFrom(exact)
    other.graph.initializer[0].raw_data = bytes(4)

    of = measured_on(exact, clips, bits=8)

    assert of == measured_on(exact, list(clips), bits=8)
    for changed in (
        measured_on(other, clips, bits=8),
        measured_on(exact, clips[:2], bits=8),
        measured_on(exact, clips, bits=4),
    ):
        assert changed != of


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ExportError, match="pass another folder with --cache"):
        Measurements(tmp_path / "file", {}).put({"a": 1.0})
