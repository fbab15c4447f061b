from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.cli.main import main
from tests.training.experiments import small_corpus

CONFIG = """
name = "tones"
threads = 1
[corpora]
manifest = "tones.csv"
[protocol]
kind = "speaker"
[network]
kind = "statistics"
[augmentation]
probability = 0
[classifier]
fit = "logistic"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    lines = ["path,emotion,speaker"]
    lines += [
        f"{u.path},{u.emotion},{u.speaker}" for u in small_corpus(folder, n_speakers=4)
    ]
    (folder / "tones.csv").write_text("\n".join(lines))
    (folder / "tones.toml").write_text(CONFIG)
    return folder / "tones.toml"


def test_folds_are_trained_and_the_main_table_is_printed(config, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["crossval", str(config), "--out", str(out)]) == 0
    text, progress = capsys.readouterr()
    assert "UA" in text
    assert "4 folds, leave one speaker" in " ".join(text.split())
    assert (out / "report" / "report.html").is_file()
    assert progress.count("done") == 4
    assert main(["crossval", str(config), "--out", str(out)]) == 0
    assert "logistic" not in capsys.readouterr().err  # nothing is trained again


def test_settings_of_the_command_line_are_kept(config, tmp_path):
    out = tmp_path / "out"
    args = ["crossval", str(config), "--out", str(out)]
    assert main([*args, "--set", "classifier.strength=0.5", "--seeds", "3"]) == 0
    assert "strength = 0.5" in (out / "config.toml").read_text()
    assert len(list(out.glob("*/seed-3"))) == 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--set", "trainig.epochs=3"], "did you mean 'training'?"),
        (["--set", "protocol.kind=speaker-group"], "protocol.n_groups is missing"),
        (["--corpus", "tess=x"], "has no corpus 'tess'"),
        (["--corpus", "manifest=nowhere.csv"], "nowhere.csv: no such file"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_exit_1(
    config, tmp_path, args, message, capsys
):
    out = ["--out", str(tmp_path / "out")]
    code = main(["crossval", str(config), *out, *args])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (1, 1)
    assert message in error
    assert not (tmp_path / "out").exists()
