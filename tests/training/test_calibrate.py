from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from espressivo.cli.main import main
from espressivo.errors import CorpusError
from espressivo.training.calibrate import calibrate
from espressivo.training.corpora import Utterance
from espressivo.training.scores.evaluation import (
    Evaluation,
    read_predictions,
)
from espressivo.training.scores.temperature import softmax
from espressivo.types import Emotion


def write(folder, temperature, n=4000, seed=0):
    """Write answers that would be calibrated if divided by `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    truth = [rng.choice(4, p=row) for row in softmax(logits)]
    utterances = tuple(
        Utterance(f"c/{i}", Path(f"{i}.wav"), "c/s", "1", [*Emotion][label], "c")
        for i, label in enumerate(truth)
    )
    rows = softmax(logits * temperature)
    Evaluation("m", "1", "0" * 64, "clips", utterances, rows).write(folder)
    return np.array(truth), rows


def test_predictions_are_read_as_they_were_written(tmp_path):
    truth, rows = write(tmp_path, 2.0, n=20)

    predictions = read_predictions(tmp_path)

    assert predictions.ids == tuple(f"c/{i}" for i in range(20))
    np.testing.assert_array_equal(predictions.labels, truth)
    np.testing.assert_array_equal(predictions.probabilities, rows)


def test_a_known_temperature_is_found_and_calibrates(tmp_path):
    write(tmp_path / "a", 2.5, seed=1)
    write(tmp_path / "b", 2.5, seed=2)

    fitted = calibrate([tmp_path / "a", tmp_path / "b"])

    assert fitted.temperature == pytest.approx(2.5, rel=0.05)
    for part in fitted.left_out:
        assert part.ece_before > 0.1
        assert part.ece_after < 0.03


def test_every_folder_counts_the_same(tmp_path):
    write(tmp_path / "many", 1.0, n=8000, seed=1)
    write(tmp_path / "few", 4.0, n=1000, seed=2)

    both = calibrate([tmp_path / "many", tmp_path / "few"]).temperature

    many = calibrate([tmp_path / "many"]).temperature
    few = calibrate([tmp_path / "few"]).temperature
    assert many < both < few
    assert both > 1.5  # the many would pull it to about 1.1


def test_what_is_after_was_fitted_elsewhere(tmp_path):
    write(tmp_path / "a", 1.0, seed=1)
    write(tmp_path / "b", 4.0, seed=2)

    first, second = calibrate([tmp_path / "a", tmp_path / "b"]).left_out

    assert first.ece_after > first.ece_before  # b's temperature does not suit a
    assert second.ece_after == pytest.approx(second.ece_before, abs=0.02)


def test_the_command_writes_where_export_looks(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    write(tmp_path / "scores", 2.0)

    assert main(["calibrate", str(run), str(tmp_path / "scores")]) == 1
    assert "pass a finished run" in capsys.readouterr().err
    (run / "model.safetensors").touch()
    assert main(["calibrate", str(run), str(tmp_path / "scores")]) == 0

    written = json.loads((run / "temperature.json").read_text())
    assert written["temperature"] == pytest.approx(2.0, rel=0.05)
    assert written["left_out"][0]["n_utterances"] == 4000


def test_without_predictions(tmp_path):
    with pytest.raises(CorpusError, match="no predictions to fit"):
        calibrate([])
    with pytest.raises(CorpusError, match=r"predictions\.parquet: holds no"):
        calibrate([tmp_path])
