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
from espressivo.training.export.quantize.quantizer import prepare
from espressivo.training.export.search import sensitivity as laboratory
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
    Laboratory,
)
from espressivo.training.export.search.target_times import owners_of
from espressivo.training.export.search.targets import (
    Site,
    sites_of,
    without,
)
from tests.training.runs_to_export import make_network


@pytest.fixture(scope="module")
def exact():
    return to_onnx(make_network())


@pytest.fixture(scope="module")
def sites(exact):
    return {site.name: site for site in sites_of(exact)}


@pytest.fixture(scope="module")
def clips(note):
    return [
        note[a : a + n] for a, n in ((0, 20_000), (50_000, 48_000), (99_000, 9_000))
    ]


@pytest.fixture(scope="module")
def rounder(exact, sites, clips):
    return prepare(exact, sites.values(), clips, "mse")


def kinds_of(model):
    return [node.op_type for node in model.graph.node]


def test_sites_are_products_and_what_is_between_them(sites, exact):
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in exact.graph.initializer}
    named = {kind: [] for kind in ("weights", "attention", "operator")}
    for site in sites.values():
        named[site.kind].append(site.name)

    assert named["attention"] == ["blocks.0.attn.scores", "blocks.0.attn.mixed"]
    assert named["operator"] == ["Gelu", "LayerNormalization", "Softmax"]
    for name in named["weights"]:
        assert sites[name].bytes_saved == 3 * weights[f"{name}.weight"].size
    assert {"conv1", "blocks.0.down"} <= {*named["weights"]}
    # The softmax behind the logits gives the answer, which nothing rounds.
    assert not {"logits", "probabilities"} & {*sites["Softmax"].values}


def test_patterns_keep_sites_of_every_kind(sites):
    left = {site.name for site in without(sites.values(), ["*.attn.*", "Gelu"])}

    assert not {"blocks.0.attn.mixed", "blocks.0.attn.query", "Gelu"} & left
    assert {"conv1", "Softmax"} <= left
    with pytest.raises(ExportError, match=r"no product is called 'Relu'"):
        without(sites.values(), ["Relu"])


@pytest.mark.parametrize("name", ["blocks.0.attn.mixed", "Gelu", "Softmax"])
def test_any_site_alone_changes_little(rounder, sites, exact, clips, name):
    model = rounder.round([sites[name]])

    change = parity.compare(exact, model, clips)
    assert 0 < change.worst < 0.05


def test_no_site_is_the_exact_graph(rounder, exact, clips):
    assert parity.compare(exact, rounder.round([]), clips).worst == 0


def test_a_value_that_is_rounded_anyway_is_not_carried_twice(rounder, sites):
    products = [site for site in sites.values() if site.product is not None]
    alone, carried = (
        kinds_of(rounder.round(chosen)).count("QuantizeLinear")
        for chosen in (products, [*products, sites["Softmax"]])
    )

    # Softmax's shares enter a product in 8 bits as it is; its scores are new.
    assert carried == alone + 1


def test_every_product_is_owned_and_moving_is_shared(exact, sites):
    products = [s.product for s in sites.values() if s.product is not None]

    owners = owners_of(exact, products)

    for product in products:
        assert product.name in owners[product.output]
    assert owners["conv2.unfolded"] == ("conv2",)
    assert set(owners["blocks.0.attn_ln.u8"]) == {
        f"blocks.0.attn.{name}" for name in ("query", "key", "value")
    }
    assert "blocks.0.attn_ln" not in owners  # a norm there is with or without rounding


def made_up(**effects):
    sites = [Site(name, "weights", bytes_saved=100) for name in effects]
    return sites, {
        name: Effect(change, share, share) for name, (change, share) in effects.items()
    }


def names_of(sites):
    return {site.name for site in sites}


def test_what_saves_most_time_within_the_budget_is_chosen():
    sites, effects = made_up(a=(0.03, 0.5), b=(0.04, 0.1), c=(0.001, 0.01))

    assert names_of(choose(sites, effects, 0.051)) == {"a", "b", "c"}
    assert names_of(choose(sites, effects, 0.0499)) == {"a", "c"}
    assert names_of(choose(sites, effects, 0.03)) == {"a"}
    assert names_of(choose(sites, effects, 0.029)) == {"c"}
    assert names_of(choose(sites, effects, 0.0001)) == set()


def test_many_that_save_a_little_beat_one_that_saves_much():
    sites, effects = made_up(big=(0.03, 0.2), **{f"{n}": (0.01, 0.1) for n in range(9)})

    assert names_of(choose(sites, effects, 0.0301)) == {f"{n}" for n in range(9)}


def test_what_saves_no_time_is_rounded_for_its_bytes_only():
    sites, effects = made_up(fast=(0.01, 0.2), slow=(0.01, -0.1))
    operator = Site("Softmax", "operator")
    effects["Softmax"] = Effect(0.0001, -0.05, -0.05)

    assert names_of(choose([*sites, operator], effects, 0.02)) == {"fast", "slow"}
    assert names_of(choose([*sites, operator], effects, 0.012)) == {"fast"}


def test_bytes_that_must_go_overrule_the_budget():
    sites, effects = made_up(a=(0.01, 0.2), b=(0.03, 0.1), c=(0.02, 0.1))

    assert names_of(choose(sites, effects, 0.01, bytes_to_save=200)) == {"a", "c"}
    assert names_of(choose(sites, effects, 0.01, bytes_to_save=201)) == {"a", "b", "c"}


class Pretended(Laboratory):
    """Changes add up as they are, not their squares."""

    def effects(self, _):
        return self.rounder

    def change_together(self, sites):
        return sum(self.rounder[site.name].change for site in sites)


def pretended(effects):
    return Pretended(effects, [], None, unwatched)


def test_a_choice_is_measured_as_a_whole_and_tightened():
    sites, effects = made_up(
        **{f"{n}": (0.01, 0.1 + n / 1000) for n in range(8)}, bad=(0.05, 0.01)
    )

    chosen = search(pretended(effects), sites, 0.03)

    # By squares all eight are 0.028; as they add up here, three are 0.03.
    assert names_of(chosen) <= {"5", "6", "7"}
    assert chosen


def test_a_choice_slightly_over_the_budget_is_not_the_last_one_tried():
    sites, effects = made_up(a=(0.01, 0.5), b=(0.009, 0.4), c=(0.001, 0.1))

    # All three are 0.02, by squares 0.0135: the next target allows them as well.
    chosen = names_of(search(pretended(effects), sites, 0.0195))
    assert {"a"} < chosen < {"a", "b", "c"}


def test_a_budget_that_nothing_meets_says_so():
    sites, effects = made_up(a=(0.2, 0.1))

    with pytest.raises(ExportError, match=r"at most 0\.1.*raise --budget"):
        search(pretended(effects), sites, 0.1)
    with pytest.raises(ExportError, match=r"0\.00 MB smaller.*least was 0\.2000"):
        search(pretended(effects), sites, 0.1, bytes_to_save=50)


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.0, float("nan")])
def test_a_budget_is_a_change_of_probability(budget):
    with pytest.raises(ExportError, match="not a change of probability"):
        search(pretended({}), [], budget)


def test_decisions_say_why():
    fast, slow = Effect(0.1, 1, 0.1), Effect(0.1, -1, -0.1)

    def said(effect, *, rounded=False, kept=False, weighed=True):
        return decision(effect, rounded=rounded, kept=kept, weighed=weighed)

    assert said(fast, rounded=True) == "8 bits"
    assert said(slow, rounded=True) == "8 bits, for its size"
    assert said(fast, kept=True) == "fp32, as asked"
    assert said(slow) == "fp32, saves no time"
    assert said(fast) == "fp32, for what it changes"
    assert said(fast, weighed=False) == "fp32, without a budget"


@pytest.fixture
def few(sites):
    return [sites[name] for name in ("conv1", "blocks.0.attn.scores", "Softmax")]


def never(*_, **__):
    raise AssertionError("measured again")


def test_what_was_measured_is_not_measured_again(rounder, few, tmp_path, monkeypatch):
    def open_laboratory(**settings):
        of = measured_on(rounder.fp32, rounder.recordings, **settings)
        known = Measurements(tmp_path, of)
        return Laboratory(rounder, rounder.recordings, known, unwatched)

    first = open_laboratory(ranges="mse").effects(few)
    together = open_laboratory(ranges="mse").change_together(few)

    monkeypatch.setattr(laboratory.parity, "probabilities", never)
    monkeypatch.setattr(laboratory, "time_graphs", never)
    assert open_laboratory(ranges="mse").effects(few) == first
    assert open_laboratory(ranges="mse").change_together(few[::-1]) == together
    with pytest.raises(AssertionError, match="measured again"):
        open_laboratory(ranges="minmax").effects(few)


def test_an_interrupted_measurement_keeps_what_it_has(
    rounder, exact, clips, few, tmp_path
):
    of = measured_on(exact, clips)

    def interrupt(step, done=0, total=0):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Laboratory(rounder, clips, Measurements(tmp_path, of), interrupt).changes(few)

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
