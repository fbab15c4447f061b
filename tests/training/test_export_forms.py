from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.errors import ExportError
from espressivo.model.classifier import load_classifier
from espressivo.training.export import (
    ExportOptions,
    export_run,
)
from espressivo.training.export.quantize import compression as reduction
from tests.training.runs_to_export import (
    by_torch,
    make_network,
    write_corpus,
    write_run,
)

OPTIONS = ExportOptions(n_calibration=4, n_checks=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory, note):
    corpus = write_corpus(tmp_path_factory.mktemp("mine"), note)
    return write_run(tmp_path_factory.mktemp("run"), make_network(), corpus)


@pytest.mark.parametrize(
    ("settings", "form"),
    [({"precision": "fp16"}, "fp16"), ({"bits": 4}, "int4")],
    ids=["fp16", "int4"],
)
def test_other_forms_load_and_answer_and_are_reported(
    run, note, tmp_path, settings, form
):
    report = export_run(run, tmp_path / "model", replace(OPTIONS, **settings))

    classify = load_classifier(tmp_path / "model")
    samples = note[None, :33_333]
    np.testing.assert_allclose(
        classify(samples), by_torch(make_network(), samples), atol=0.05
    )
    assert report.precision == form == classify.card.details["made_by"]["precision"]
    assert report.bytes < 0.6 * report.bytes_fp32
    assert report.costs.shipped.seconds > 0
    assert report.agreement.n == 4
    assert f"| {form} graph |" in (tmp_path / "model" / "export.md").read_text()


@pytest.mark.parametrize("settings", [{"precision": "fp16"}, {"bits": 4}], ids=str)
def test_every_form_is_held_to_its_bound(run, tmp_path, monkeypatch, settings):
    monkeypatch.setattr(reduction, "LARGEST_MEAN_CHANGE", 0.0)

    with pytest.raises(ExportError, match=r"changes probabilities by .*; most (of|by)"):
        export_run(run, tmp_path / "model", replace(OPTIONS, **settings))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 4, "precision": "fp16"},
        {"precision": "fp32", "budget": 0.02},
        {"bits": 4, "largest_bytes": 10**7},
        {"precision": "fp16", "compare_ranges": True},
    ],
    ids=str,
)
def test_what_would_be_ignored_is_refused(settings):
    with pytest.raises(ExportError, match="leave"):
        ExportOptions(**settings)


def test_a_search_stays_within_its_budget_and_size(run, tmp_path):
    options = replace(OPTIONS, budget=0.02, cache=tmp_path / "cache")

    report = export_run(run, tmp_path / "model", options)
    again = export_run(run, tmp_path / "again", options)

    assert report.agreement.mean < 0.02
    assert (report.budget, again.sha256) == (0.02, report.sha256)
    assert all(site.seconds > 0 for site in report.sites if site.decision == "8 bits")
    assert len([*(tmp_path / "cache").iterdir()]) == 1
