import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import (
    ConfigError,
    CorpusError,
    ExportError,
    ModelError,
    TrainingError,
)
from espressivo.model.classifier import load_classifier
from espressivo.training.export import (
    ExportOptions,
    compression,
    export_run,
    folder,
)
from espressivo.training.export.recordings import calibration_windows, draw
from espressivo.types import Emotion
from tests.training.runs_to_export import (
    by_torch,
    make_network,
    write_corpus,
    write_run,
)

WINDOW = 128_000


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, note):
    return write_corpus(tmp_path_factory.mktemp("mine"), note)


@pytest.fixture(scope="module")
def run(tmp_path_factory, network, corpus):
    return write_run(tmp_path_factory.mktemp("run"), network, corpus)


OPTIONS = ExportOptions(n_calibration=8, n_checks=4, command="espressivo export ...")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run, corpus):
    out = tmp_path_factory.mktemp("models") / "deep" / "small"
    options = replace(OPTIONS, held_out={"manifest": corpus}, sensitivity=True)
    return out, export_run(run, out, options)


def test_the_folder_loads_and_answers_like_the_run(exported, network, note):
    out, _ = exported
    samples = note[None, :33_333]

    found = load_classifier(out)(samples)

    np.testing.assert_allclose(found, by_torch(network, samples), atol=0.02)


def test_the_folder_is_complete_and_nothing_else_is_left(exported):
    out, _ = exported

    assert sorted(path.name for path in out.iterdir()) == [
        "LICENSES",
        "export.json",
        "export.md",
        "model.json",
        "model.onnx",
    ]
    assert (out / "LICENSES" / "whisper-LICENSE.txt").stat().st_size > 500
    assert "| mine |" in (out / "LICENSES" / "TRAINING-DATA.md").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["small"]


def test_the_card_says_what_made_it(exported):
    out, report = exported
    card = json.loads((out / "model.json").read_text())

    assert card["format_version"] == 1
    assert (card["name"], card["temperature"]) == ("small", 1.7)
    assert card["emotions"] == [str(emotion) for emotion in Emotion]
    assert (card["sample_rate_hz"], card["window_s"], card["min_s"]) == (16000, 8, 0.5)
    assert card["sha256"] == report.sha256
    assert card["calibration_of_probabilities"]["ece_after"] == 0.05
    assert [c["n_utterances"] for c in card["training_corpora"]] == [16]
    assert "terms of mine are for you to know" in card["allowed_use"]
    assert card["made_by"]["command"] == "espressivo export ..."
    assert card["made_by"]["recipe"]["network"]["weights"] == "encoder.safetensors"


def test_the_report_measures_what_was_promised(exported):
    out, report = exported
    told = json.loads((out / "export.json").read_text())

    assert told["schema"] == "espressivo.export/3"
    assert told["bytes"] == (out / "model.onnx").stat().st_size < told["bytes_fp32"]
    assert report.parity < 1e-4
    assert report.agreement.mean < 0.01
    (held_out,) = report.held_out
    assert (held_out.agreement.n, held_out.n_speakers) == (16, 2)
    assert held_out.ua_interval.low <= held_out.ua <= held_out.ua_interval.high
    text = (out / "export.md").read_text()
    assert "| manifest | 16 | 2 |" in text
    for operator in report.costs.shipped.operators:
        assert operator.macs == 0 or f"| {operator.operator} | " in text


def test_matmuls_become_integer_matmuls_as_large(exported):
    costs = exported[1].costs
    macs = [
        sum(o.macs for o in graph.operators if "Integer" in o.operator)
        for graph in (costs.fp32, costs.shipped)
    ]

    assert macs[0] == 0
    assert macs[1] > 0.8 * costs.shipped.macs
    assert costs.shipped.macs == costs.fp32.macs
    assert costs.shipped.peak_bytes is None or costs.shipped.peak_bytes > 0


def test_every_part_is_measured_and_decided(exported):
    _, report = exported

    parts = {site.name: site for site in report.sites}
    assert {*report.products} <= {*parts}
    assert {"Gelu", "Softmax", "blocks.0.attn.scores"} <= {*parts}
    for name, site in parts.items():
        assert (name in report.products) == site.decision.startswith("8 bits")
    changes = [site.change for site in report.sites]
    assert changes == sorted(changes, reverse=True)


def test_the_same_run_gives_the_same_bytes(exported, run, tmp_path):
    _, report = exported

    assert export_run(run, tmp_path / "again", OPTIONS).sha256 == report.sha256


def test_an_altered_file_is_refused(exported, tmp_path):
    model = shutil.copytree(exported[0], tmp_path / "model")
    graph = bytearray((model / "model.onnx").read_bytes())
    graph[-1] ^= 1
    (model / "model.onnx").write_bytes(graph)

    with pytest.raises(ModelError, match="was altered"):
        load_classifier(model)


def test_a_model_in_the_way_is_refused_or_replaced(exported, run, tmp_path):
    model = shutil.copytree(exported[0], tmp_path / "model")
    scores = {"model": "small", "scores": {"ua": 0.66}}
    (model / "scores.json").write_text(json.dumps(scores))
    options = replace(OPTIONS, precision="fp32", version="2", results=[model])

    with pytest.raises(ExportError, match="holds a model already"):
        export_run(run, model, options)
    report = export_run(run, model, replace(options, force=True))

    card = load_classifier(model).card
    assert (card.version, report.precision) == ("2", "fp32")
    (result,) = card.details["results"]
    assert result["scores"] == scores["scores"]
    assert not (model / "scores.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_results_that_are_none_are_refused(run, tmp_path):
    with pytest.raises(ExportError, match="is no evaluation"):
        export_run(run, tmp_path / "model", replace(OPTIONS, results=[tmp_path]))


def test_a_folder_that_is_no_model_is_never_replaced(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ExportError, match="is no model folder, so it is not replaced"):
        export_run(run, tmp_path, replace(OPTIONS, force=True))

    assert (tmp_path / "thesis.txt").exists()


def test_a_failed_check_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "LARGEST_MEAN_CHANGE", 0.0)

    with pytest.raises(ExportError, match=r"most by \S+ \(.* alone\).*--keep"):
        export_run(run, tmp_path / "model", OPTIONS)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_json", fail)

    with pytest.raises(ExportError, match="No space left"):
        export_run(run, tmp_path / "model", replace(OPTIONS, precision="fp32"))

    assert list(tmp_path.iterdir()) == []


def test_a_corpus_that_did_not_train_cannot_calibrate(run, corpus, tmp_path):
    options = replace(OPTIONS, corpora={"ravdess": corpus})

    with pytest.raises(ExportError, match="'ravdess': the run was trained on mine"):
        export_run(run, tmp_path / "model", options)


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("config.toml", ConfigError),
        ("run.json", TrainingError),
        ("model.safetensors", TrainingError),
    ],
)
def test_an_incomplete_run_is_named(run, tmp_path, missing, error):
    copy = tmp_path / "run"
    copy.mkdir()
    for path in run.iterdir():
        if path.name != missing:
            (copy / path.name).write_bytes(path.read_bytes())

    with pytest.raises(error, match=r"cannot be read|holds no model|is no run"):
        export_run(copy, tmp_path / "model", OPTIONS)


def test_calibration_hears_short_and_long_windows(shared, run):
    from espressivo.training.config import read_config
    from espressivo.training.corpora import read_corpus

    utterances = read_corpus("emodb", shared / "corpora" / "emodb")
    drawn, rest = draw(utterances, 8, seed=0)
    config = read_config(run / "config.toml")

    windows = calibration_windows(drawn, utterances, config, seed=0)

    lengths = [len(window) for window in windows]
    assert min(lengths) >= 8_000
    assert lengths.count(WINDOW) >= 2
    assert len(set(lengths)) > 4
    assert not {u.id for u in drawn} & {u.id for u in rest}
    again = calibration_windows(drawn, utterances, config, seed=0)
    assert all(map(np.array_equal, windows, again))


def test_drawing_from_nothing_is_an_error():
    with pytest.raises((ExportError, CorpusError), match="no recordings"):
        draw([], 8, seed=0)
