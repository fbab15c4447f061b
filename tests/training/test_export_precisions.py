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
    compression,
    export_run,
)
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


def test_fp16_loads_and_predicts_and_is_reported(run, note, tmp_path):
    options = replace(OPTIONS, precision="fp16")

    report = export_run(run, tmp_path / "model", options)

    classify = load_classifier(tmp_path / "model")
    samples = note[None, :33_333]
    np.testing.assert_allclose(
        classify(samples), by_torch(make_network(), samples), atol=0.05
    )
    assert report.precision == "fp16" == classify.card.details["made_by"]["precision"]
    assert report.bytes < 0.6 * report.bytes_fp32
    assert report.costs.shipped.seconds > 0
    assert report.agreement.n == 4
    assert "| fp16 graph |" in (tmp_path / "model" / "export.md").read_text()


def test_fp16_is_held_to_its_bound(run, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "LARGEST_MEAN_CHANGE", 0.0)

    with pytest.raises(ExportError, match=r"changes probabilities by .*; most (of|by)"):
        export_run(run, tmp_path / "model", replace(OPTIONS, precision="fp16"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "fp32", "budget": 0.02},
        {"precision": "fp16", "budget": 0.02},
    ],
    ids=str,
)
def test_what_would_be_ignored_is_refused(settings):
    with pytest.raises(ExportError, match="leave"):
        ExportOptions(**settings)


def test_a_search_stays_within_its_budget(run, tmp_path):
    options = replace(OPTIONS, budget=0.02, cache=tmp_path / "cache")

    report = export_run(run, tmp_path / "model", options)
    again = export_run(run, tmp_path / "again", options)

    assert report.agreement.mean < 0.02
    assert (report.budget, again.sha256) == (0.02, report.sha256)
    assert all(site.seconds > 0 for site in report.sites if site.decision == "8 bits")
    assert len([*(tmp_path / "cache").iterdir()]) == 1
