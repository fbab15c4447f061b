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


def write(folder, temperature, n=4000, seed=0, *, shuffled=False):
    """Write answers that would be calibrated if divided by `temperature`.

    Shuffled ones have nothing to do with the labels.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    truth = [rng.choice(4, p=row) for row in softmax(logits)]
    if shuffled:
        rng.shuffle(truth)
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
    figure = tmp_path / "curves.png"

    assert main(["calibrate", str(run), str(tmp_path / "scores")]) == 1
    assert "pass a finished run" in capsys.readouterr().err
    (run / "model.safetensors").touch()
    given = ["calibrate", str(run), str(tmp_path / "scores"), "--plot", str(figure)]
    assert main(given) == 0

    written = json.loads((run / "temperature.json").read_text())
    assert written["temperature"] == pytest.approx(2.0, rel=0.05)
    assert written["left_out"][0]["n_utterances"] == 4000
    assert written["certainty"]["accuracy"] == 0.8
    assert 0.3 < written["certainty"]["coverage"] < 0.7
    printed = capsys.readouterr().out
    assert f"uncertain below {written['certainty']['threshold']:.3f}" in printed
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_what_is_certain_is_as_right_as_was_asked_for(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for seed, folder in enumerate(folders):
        write(folder, 2.0, seed=seed)

    fitted = calibrate(folders, 0.8)

    # Drawn from calibrated probabilities, so the threshold holds on other sets too.
    assert 0.3 < fitted.certainty.coverage < 0.7
    for part in fitted.left_out:
        assert part.threshold == pytest.approx(fitted.certainty.threshold, abs=0.03)
        assert part.accuracy == pytest.approx(0.8, abs=0.03)
        assert part.coverage == pytest.approx(fitted.certainty.coverage, abs=0.05)
        accuracies = [*part.accuracy_at.values()]
        assert accuracies == sorted(accuracies)
    stricter = calibrate(folders, 0.9).certainty
    assert stricter.threshold > fitted.certainty.threshold
    assert stricter.coverage < fitted.certainty.coverage


def test_the_threshold_of_a_set_was_chosen_on_the_others(tmp_path):
    write(tmp_path / "sound", 1.0, seed=1)
    write(tmp_path / "chance", 1.0, seed=2, shuffled=True)

    fitted = calibrate([tmp_path / "sound", tmp_path / "chance"], 0.8)

    sound, chance = fitted.left_out
    assert sound.threshold is None  # nothing is right in chance
    assert sound.coverage is sound.accuracy is None
    assert chance.threshold < 0.8
    assert chance.accuracy == pytest.approx(0.25, abs=0.05)


def test_an_accuracy_that_nothing_reaches(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").touch()
    write(tmp_path / "chance", 1.0, shuffled=True)

    assert main(["calibrate", str(run), str(tmp_path / "chance")]) == 0

    assert "pass a lower --accuracy" in capsys.readouterr().out
    assert json.loads((run / "temperature.json").read_text())["certainty"] is None


def test_folders_of_one_name_are_told_apart(tmp_path):
    folders = [tmp_path / run / "scores" for run in ("no-tess", "no-nemo")]
    for folder in folders:
        write(folder, 1.0, n=200)

    def names(*folders):
        return [part.predictions for part in calibrate(folders).left_out]

    assert names(*folders) == ["no-tess", "no-nemo"]
    assert names(folders[0]) == names(folders[0], folders[0])[:1] == ["scores"]
    write(tmp_path / "no-urdu", 1.0, n=200)
    assert names(folders[0], tmp_path / "no-urdu") == ["no-tess/scores", "no-urdu"]


@pytest.mark.parametrize("accuracy", ["0", "1", "80", "high"])
def test_an_accuracy_is_a_share(tmp_path, capsys, accuracy):
    with pytest.raises(SystemExit):
        main(["calibrate", str(tmp_path), str(tmp_path), "--accuracy", accuracy])
    assert "is not a share between 0 and 1" in capsys.readouterr().err


def test_without_predictions(tmp_path):
    with pytest.raises(CorpusError, match="no predictions to fit"):
        calibrate([])
    with pytest.raises(CorpusError, match=r"predictions\.parquet: holds no"):
        calibrate([tmp_path])
