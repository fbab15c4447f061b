"""`espressivo compress prune` on the command line, also killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("onnx", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.cli.main import main
from espressivo.errors import TrainingError
from espressivo.training.compress.prune import PruneOptions, prune_run
from espressivo.training.runs.folder import load_run
from tests.compress.test_prune import SHIPPED, WHISPER, write_run
from tests.training.runs_to_export import write_corpus

FEW = ["--epochs", "1", "--draws", "8", "--calibration", "4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, note):
    corpus = write_corpus(tmp_path_factory.mktemp("mine"), note)
    return write_run(tmp_path_factory.mktemp("run"), corpus, SHIPPED, WHISPER)


def test_a_run_is_pruned_and_what_was_removed_is_printed(run, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["compress", "prune", str(run), "--out", str(out), "--share", "0.6"]

    assert main([*args, "--schedule", "1", *FEW]) == 0

    printed = capsys.readouterr().out
    assert "of the pruned layers" in printed
    assert f"next: espressivo export {out} --out DIR" in printed
    load_run(out)
    # The folder is taken now.
    assert main([*args, "--schedule", "1", *FEW]) == 1
    assert "holds a finished run; pass another folder" in capsys.readouterr().err


def test_a_killed_pruning_goes_on_after_its_last_step(run, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["compress", "prune", str(run), "--out", str(out), "--share", "0.5"]
    args += ["--schedule", "2", *FEW]
    process = subprocess.Popen([sys.executable, "-m", "espressivo", *args])
    checkpoint = out / "prune.checkpoint"
    while not checkpoint.is_file():
        assert process.poll() is None  # it ends by itself only with an error
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.safetensors").exists()

    assert main([*args[:-2], "--calibration", "5"]) == 1
    assert "(n_calibration is 4, not 5)" in capsys.readouterr().err
    assert main(args) == 0

    assert len(json.loads((out / "prune.json").read_text())["steps"]) == 2
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "one of the arguments --share --megabytes is required"),
        (["--share", "1.5"], "'1.5' is not a share between 0 and 1"),
        (["--megabytes", "-1"], "'-1' is not a size above 0"),
        (["--share", "0.5", "--megabytes", "2"], "not allowed with argument --share"),
        (["--share", "0.5", "--learning-rate", "x"], "'x' is not a rate above 0"),
        (["--share", "0.5", "--learning-rate", "2"], "above 0 and below 1"),
        (["--share", "0.5", "--seed", "-1"], "'-1' is not"),
    ],
)
def test_a_wrong_command_line_exits_with_2(args, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compress", "prune", "run", "--out", "out", *args])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    args = ["compress", "prune", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*args, "--share", "0.5"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "is no run (no run.json); pass a folder that `espressivo train` wrote" in line
    )


def test_a_recovery_that_goes_too_far_in_its_last_step_is_refused(run, tmp_path):
    options = PruneOptions(
        share=0.6, n_steps=1, epochs=1, n_draws=8, n_calibration=4, learning_rate=1e30
    )
    with pytest.raises(TrainingError, match="pass a lower --learning-rate"):
        prune_run(run, tmp_path / "out", options)
