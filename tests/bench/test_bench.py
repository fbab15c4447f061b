from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from espressivo.bench.measure import BenchOptions, bench
from espressivo.bench.profiling import GraphProfile, NodeCost
from espressivo.bench.report import SCHEMA, BenchReport, Machine, ModelCost, Quartiles
from espressivo.bench.subject import find_subjects
from espressivo.bench.tables import cost_table, node_table, operator_table
from espressivo.errors import ModelError
from espressivo.model.find import find_model
from tests.bench.graphs import graph, node, onnx, product

MACHINE = Machine(
    processor="A processor",
    eight_bit_instructions=("avx512_vnni",),
    cores=8,
    load=0.1,
    system="Linux",
    python="3.12.0",
    onnxruntime="1.32.0",
)
PROFILE = GraphProfile(
    (
        NodeCost("a", "a", "MatMul", 0.003, 900_000_000),
        NodeCost("b", "b", "Add", 0.001, 0),
    )
)
MODEL = ModelCost(
    name="small",
    sha256="0" * 64,
    bytes=5_180_000,
    n_parameters=4_080_000,
    times_s=(0.02, 0.03, 0.04, 0.05, 0.06),
    threaded_times_s=(0.02,),
    first_results_s=(0.5,),
    peak_bytes=39_000_000,
    joules_per_s=0.125,
    profile=PROFILE,
    ua={"ravdess": 0.57},
)
LARGE = replace(
    MODEL,
    name="large",
    bytes=94_000_000,
    n_parameters=None,
    times_s=(0.08, 0.06, 0.20, 0.30, 0.18),
    peak_bytes=None,
    joules_per_s=None,
    ua={},
)


def report_of(*models, **changes):
    made = BenchReport(
        machine=MACHINE, seconds=8.0, threads=2, no_energy=None, models=models
    )
    return replace(made, **changes)


def as_text(table, width=80):
    console = Console(width=width, record=True, markup=False)  # as commands print
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def rows_of(table, width=80):
    lines = [line.split("  ") for line in as_text(table, width).splitlines()]
    return {cells[0]: [c.strip() for c in cells[1:] if c.strip()] for cells in lines}


@pytest.fixture(scope="module")
def product_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "product.onnx"
    path.write_bytes(product(100, 80, 64).SerializeToString())
    return path


@pytest.fixture(scope="module")
def measured(product_file):
    """A real bench of the bundled model and a graph, half a second, and its steps."""
    steps = []
    subjects = find_subjects(["espressivo-tiny", str(product_file)])
    options = BenchOptions(seconds=0.5, rounds=3, threads=2, starts=1, runs=1)
    found = bench(subjects, options, lambda done, total: steps.append((done, total)))
    return found, steps


def test_a_bench_measures_all_of_every_model(measured, product_file):
    report, _ = measured
    tiny, small = report.models

    assert (tiny.name, small.name) == ("espressivo-tiny", "product")
    folder = find_model("espressivo-tiny")
    exported = json.loads((folder / "export.json").read_text("utf-8"))
    assert 4 * tiny.n_parameters == pytest.approx(exported["bytes_fp32"], rel=0.01)
    assert (small.n_parameters, small.ua) == (None, {})
    assert small.bytes == product_file.stat().st_size
    assert small.sha256 == hashlib.sha256(product_file.read_bytes()).hexdigest()
    assert small.profile.macs == 100 * 80 * 64
    for model in report.models:
        assert len(model.times_s) == len(model.threaded_times_s) == 3
        assert len(model.first_results_s) == 1
        # A fresh process needs longer than a loaded model.
        assert min(model.first_results_s) > min(model.times_s) > 0


def test_a_bench_tells_how_far_it_is(measured):
    _, steps = measured
    n_models = 2
    timings, starts, rest = 2 * (1 + 3), 1 + 1, 2

    total = n_models * (timings + starts + rest)
    assert steps == [(done, total) for done in range(1, total + 1)]


def test_one_thread_is_timed_once(product_file):
    options = BenchOptions(seconds=0.5, rounds=1, threads=1, starts=1, runs=1)

    report = bench(find_subjects([str(product_file)]), options)

    assert report.models[0].threaded_times_s == ()
    assert report.to_dict()["models"][0]["real_time_factor_threads"] is None
    assert "threads" not in as_text(cost_table(report))


class Meter:
    """Counts 3 J from one reading to the next."""

    why_not = None

    def __init__(self):
        self.joules = 0

    def read(self):
        self.joules += 3
        return (self.joules,)

    def joules_since(self, before):
        return self.read()[0] - before[0]


def test_energy_is_that_of_the_rounds_over_their_audio(product_file, monkeypatch):
    monkeypatch.setattr("espressivo.bench.measure.find_meter", Meter)
    options = BenchOptions(seconds=0.5, rounds=4, threads=2, starts=1, runs=1)

    report = bench(find_subjects([str(product_file)]), options)

    assert report.no_energy is None
    assert report.models[0].joules_per_s == 3 / 0.5


NUMBER = {"type": "number", "exclusiveMinimum": 0}
QUARTILES = {
    "type": "object",
    "properties": dict.fromkeys(("low", "median", "high"), NUMBER),
    "required": ["low", "median", "high"],
}


def test_json_says_everything(measured):
    report, _ = measured

    whole = json.loads(json.dumps(report.to_dict(profiles=True)))

    assert whole["schema"] == SCHEMA == "espressivo.bench/1"
    for model in whole["models"]:
        for name in ("time_s", "time_over_first", "first_result_s"):
            jsonschema.validate(model[name], QUARTILES)
        for name in ("bytes", "macs", "real_time_factor", "real_time_factor_threads"):
            jsonschema.validate(model[name], NUMBER)
        assert model["macs"] == sum(o["macs"] for o in model["operators"])
        assert len(model["nodes"]) == sum(o["calls"] for o in model["operators"])
    assert whole["models"][0]["time_over_first"] == {"low": 1, "median": 1, "high": 1}
    assert whole["machine"]["onnxruntime"]
    assert "nodes" not in report.to_dict()["models"][0]


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30))
def test_quartiles_are_those_of_numpy(values):
    found = Quartiles.of(values)

    assert np.allclose(found, np.percentile(values, [25, 50, 75]))


def test_ratios_are_of_rounds_and_not_of_medians():
    # A machine twice as slow in the second round slows both.
    first = replace(MODEL, times_s=(1.0, 2.0, 1.0))
    second = replace(MODEL, times_s=(0.5, 1.0, 0.6))

    assert second.ratio_to(first).median == 0.5
    assert first.ratio_to(first) == (1.0, 1.0, 1.0)


def test_the_table_says_each_cost_of_each_model():
    rows = rows_of(cost_table(report_of(MODEL, LARGE)))

    assert rows["size (MB)"] == ["5.18", "94.00"]
    assert rows["parameters (million)"] == ["4.08", "-"]
    assert rows["GMAC for 8 s"] == ["0.90", "0.90"]
    assert rows["ms for 8 s, 1 thread"] == ["40.0 (30.0..50.0)", "180.0 (80.0..200.0)"]
    assert rows["time over small"] == ["1", "4.00 (3.00..5.00)"]
    assert rows["real-time factor, 1 thread"] == ["0.0050", "0.022"]
    assert rows["real-time factor, 2 threads"] == ["0.0025", "0.0025"]
    assert rows["first result (s)"] == ["0.50", "0.50"]
    assert rows["peak memory (MB)"] == ["39", "-"]


@pytest.mark.parametrize("why", ["-", "not readable (needs root)"])
def test_energy_that_is_not_told_is_not_made_up(why):
    silent = report_of(replace(MODEL, joules_per_s=None), no_energy=why)

    label = "energy for 1 s of audio (J)"
    assert rows_of(cost_table(silent))[label] == [why]
    assert rows_of(cost_table(report_of(MODEL)))[label] == ["0.125"]


def test_many_models_stand_in_rows_that_fit_a_terminal():
    models = [replace(MODEL, name=f"model-number-{i}") for i in range(5)]

    lines = as_text(cost_table(report_of(*models))).splitlines()

    assert all(len(line) <= 80 for line in lines)
    for model in models:
        (line,) = [line for line in lines if line.startswith(model.name)]
        cells = line.split()[1:]
        assert " ".join(cells) == "5.18 0.90 40.0 1.00 0.0050 0.50 39 0.125"


def test_operators_are_told_by_their_share():
    rows = rows_of(operator_table(MODEL))

    assert rows["MatMul"] == ["1", "3.00", "75.0%", "0.900", "300"]
    assert rows["Add"] == ["1", "1.00", "25.0%"]
    assert rows["all"] == ["2", "4.00", "100.0%", "0.900", "225"]


def test_operators_beyond_the_table_are_summed():
    rows = rows_of(operator_table(MODEL, n_shown=1))

    assert rows["1 other kinds"] == ["1", "1.00", "25.0%"]


def test_nodes_are_told_slowest_first():
    rows = rows_of(node_table(MODEL, n_shown=1))

    assert list(rows)[1:] == ["a"]
    assert rows["a"] == ["MatMul", "3.00", "75.0%", "0.900", "300"]


def test_a_quiet_machine_is_no_warning():
    steady = replace(MODEL, times_s=(1.0, 1.01, 1.02))

    assert report_of(steady).warnings() == []
    unknown = replace(MACHINE, load=None)
    assert report_of(steady, machine=unknown).warnings() == []


def test_a_busy_machine_and_wide_quartiles_are_told():
    found = report_of(MODEL, machine=replace(MACHINE, load=4.0)).warnings()

    assert "busy before this began (load 4.0)" in found[0]
    assert "times of small spread by more than 10%" in found[1]


def test_models_of_one_name_are_called_by_what_was_given(tmp_path):
    copy = shutil.copytree(find_model("espressivo-tiny"), tmp_path / "copy")

    found = find_subjects(["espressivo-tiny", str(copy)])

    assert [subject.name for subject in found] == ["espressivo-tiny", str(copy)]


def test_an_altered_model_folder_is_refused(tmp_path):
    copy = shutil.copytree(find_model("espressivo-tiny"), tmp_path / "copy")
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")

    with pytest.raises(ModelError, match="the file was altered or cut off"):
        find_subjects([str(copy)])


def test_a_folder_without_a_report_of_its_export_will_do(tmp_path):
    copy = shutil.copytree(find_model("espressivo-tiny"), tmp_path / "copy")
    (copy / "export.json").unlink()

    (found,) = find_subjects([str(copy)])

    assert found.n_parameters is None
    assert found.limits_s == (0.5, 8.0)


def test_scores_are_those_of_clips_of_one_corpus(tmp_path):
    copy = shutil.copytree(find_model("espressivo-tiny"), tmp_path / "copy")
    path = copy / "model.json"
    results = [
        {"protocol": protocol, "corpora": corpora, "scores": {"ua": ua}}
        for protocol, corpora, ua in (
            ("clips", ["emovo"], 0.5),
            ("pipeline", ["nemo"], 0.6),
            ("clips", ["emovo", "nemo"], 0.7),
        )
    ]
    card = json.loads(path.read_text("utf-8")) | {"results": results}
    path.write_text(json.dumps(card), "utf-8")

    (found,) = find_subjects([str(copy)])

    assert found.ua == {"emovo": 0.5}


def test_a_length_that_the_card_rules_out_is_refused():
    with pytest.raises(ModelError, match=r"meant for 0\.5 to 8 s, not 9 s"):
        bench(find_subjects(["espressivo-tiny"]), BenchOptions(seconds=9))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["nowhere"], "neither a folder nor a bundled model"),
        (["nowhere.onnx"], "there is no such file"),
        (["espressivo-tiny", "espressivo-tiny"], "is given twice"),
    ],
)
def test_what_is_no_model_is_refused(models, message):
    with pytest.raises(ModelError, match=message):
        find_subjects(models)


def test_weights_in_a_file_beside_the_graph_count(tmp_path):
    model = product(100, 80, 64)
    inside = len(model.SerializeToString())
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin")

    (found,) = find_subjects([str(path)])
    report = bench([found], BenchOptions(0.5, 1, 1, 1, 1))

    assert path.stat().st_size < 4 * 80 * 64 < report.models[0].bytes
    assert report.models[0].bytes == pytest.approx(inside, rel=0.05)
    assert report.models[0].profile.macs == 100 * 80 * 64


def test_a_graph_of_features_is_no_graph_of_samples(tmp_path):
    path = tmp_path / "mel.onnx"
    features = graph([node("Relu", ["samples"], "y")], shape=("batch", 80, "frames"))
    path.write_bytes(features.SerializeToString())

    with pytest.raises(ModelError, match=r"mel\.onnx: its inputs are .*not one of"):
        find_subjects([str(path)])
