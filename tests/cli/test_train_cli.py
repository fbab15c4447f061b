from __future__ import annotations

import pytest

from espressivo.cli.main import main
from espressivo.training.runs import train as experiment
from espressivo.training.runs.train import EpochReport
from tests.recordings import encode

CONFIG = """
name = "mine"
seed = 3

[corpora]
emodb = "emodb"
tess = "nowhere"

[training]
epochs = 2
"""


@pytest.fixture
def config(tmp_path, note):
    for name in ("emodb/03a01Wa", "emodb/08a01Ta", "my-tess/OAF_back_sad"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        encode(tmp_path / f"{name}.wav", note[:8_000])
    (tmp_path / "mine.toml").write_text(CONFIG)
    return tmp_path / "mine.toml"


@pytest.fixture
def trained(monkeypatch):
    """What `experiment.train` was asked for, in place of training."""
    calls = []

    def train(config, clips, folder, **options):
        calls.append((config, [c.utterance.id for c in clips], folder, options))
        options["on_epoch"](EpochReport("gradient", 2, 2, 0.5, 3.2, 0.625))

    monkeypatch.setattr(experiment, "train", train)
    return calls


def test_half_of_the_speakers_is_trained_on(config, trained, tmp_path):
    args = ["train", str(config), "--corpus", f"tess={tmp_path / 'my-tess'}"]
    ids = {}
    for half in ("even", "odd", "all"):
        out = ["--out", str(tmp_path / half), "--set", f"speakers.emodb={half}"]
        assert main([*args, *out]) == 0
        ids[half] = trained[-1][1]
    assert ids["even"] == ["emodb/03a01Wa", "tess/OAF_back_sad"]
    assert ids["odd"] == ["emodb/08a01Ta", "tess/OAF_back_sad"]
    assert len(ids["all"]) == 3
    # A corpus that is left out is scored with all its speakers.
    out = ["--out", str(tmp_path / "out"), "--leave-out", "emodb"]
    assert main([*args, *out, "--set", "speakers.emodb=even"]) == 0
    assert len(trained[-1][3]["validation"]) == 2


def test_what_is_asked_for_is_trained(config, trained, tmp_path, capsys):
    run = tmp_path / "run"
    args = ["train", str(config), "--out", str(run), "--seed", "7"]
    code = main([*args, "--corpus", f"tess={tmp_path / 'my-tess'}"])

    assert code == 0
    ((wanted, ids, folder, options),) = trained
    assert ids == ["emodb/03a01Wa", "emodb/08a01Ta", "tess/OAF_back_sad"]
    assert (wanted.seed, folder) == (7, run)
    assert wanted.corpora["tess"] == tmp_path / "my-tess"
    assert list(options["validation"]) == []
    out, err = capsys.readouterr()
    assert err == "epoch 2/2  loss 0.5000  validation UA 62.5%  3 s\n"
    assert "next: espressivo export" in out


def test_a_corpus_that_is_left_out_is_scored(config, trained, tmp_path):
    tess = f"tess={tmp_path / 'my-tess'}"
    args = ["--out", "run", "--corpus", tess, "--leave-out", "emodb"]
    assert main(["train", str(config), *args]) == 0
    ((wanted, ids, _, options),) = trained
    assert ids == ["tess/OAF_back_sad"]
    left_out = [clip.utterance.id for clip in options["validation"]]
    assert left_out == ["emodb/03a01Wa", "emodb/08a01Ta"]
    assert wanted.seed == 3


def test_an_interrupted_run_exits_130_and_says_how_to_go_on(
    config, monkeypatch, tmp_path, capsys
):
    def train(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "train", train)
    args = ["--out", "run", "--corpus", f"tess={tmp_path / 'my-tess'}"]
    assert main(["train", str(config), *args]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--corpus", "nemo=x"], "has no corpus 'nemo' (it has: emodb, tess); add it"),
        (["--leave-out", "nemo"], "has no corpus 'nemo'"),
        ([], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_exit_1(
    config, trained, args, message, capsys
):
    assert main(["train", str(config), "--out", "run", *args]) == 1
    assert message in capsys.readouterr().err
    assert trained == []


def test_a_malformed_corpus_is_the_command_lines_fault(config, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(config), "--out", "run", "--corpus", "emodb"])
    assert stopped.value.code == 2
    assert "'emodb' is not NAME=DIR" in capsys.readouterr().err


@pytest.fixture
def free(tmp_path, note):
    """A configuration of free corpora: LibriSpeech, and a table of one's own."""
    for name in ("libri/84-121123-0000", "calls/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        encode(tmp_path / f"{name}.wav", note[:8_000])
    (tmp_path / "calls/calls.csv").write_text("path,emotion,speaker\n1.wav,anger,ann\n")
    (tmp_path / "free.toml").write_text(
        'name = "free"\n[corpora]\n'
        'librispeech = "libri"\nmanifest = "calls/calls.csv"\n'
    )
    return tmp_path / "free.toml"


@pytest.mark.parametrize(
    ("options", "complaints"),
    [
        ([], ["calls states no licence"]),
        (["--set", "licences.manifest=research"], ["calls (research use only, as its"]),
        (
            [
                *("--set", "licences.manifest=own", "--set", "network.kind=hubert"),
                *("--set", "network.weights=somebody/tuned"),
            ],
            ["somebody/tuned states no licence"],
        ),
    ],
)
def test_a_model_to_be_sold_needs_terms_that_allow_it(
    free, trained, options, complaints, capsys
):
    pytest.importorskip("onnx", reason="needs the extra 'train'")
    args = ["train", str(free), "--out", "run", "--licence", "commercial", *options]
    assert main(args) == 1
    err = capsys.readouterr().err
    assert err.startswith("--licence commercial: ")
    assert err.count("\n") == 1
    for complaint in complaints:
        assert complaint in err
    assert "LibriSpeech" not in err
    assert trained == []


@pytest.mark.parametrize("stated", ["own", "CC-BY-4.0", "CC0-1.0"])
def test_a_model_of_free_corpora_is_trained(free, trained, stated):
    pytest.importorskip("onnx", reason="needs the extra 'train'")
    stated = f"licences.manifest={stated}"
    args = ["train", str(free), "--out", "run", "--licence", "commercial"]
    assert main([*args, "--set", stated]) == 0
    assert len(trained) == 1


def test_corpora_that_forbid_a_sale_are_named_unless_left_out(
    config, trained, tmp_path, capsys
):
    pytest.importorskip("onnx", reason="needs the extra 'train'")
    tess = f"tess={tmp_path / 'my-tess'}"
    args = ["train", str(config), "--out", "run", "--corpus", tess]
    args += ["--licence", "commercial"]

    assert main(args) == 1
    err = capsys.readouterr().err
    assert "TESS (CC BY-NC-ND 4.0, Pichora-Fuller & Dupuis 2020) forbids" in err
    assert "EmoDB (free to use, Burkhardt et al. 2005) does not say" in err

    # A corpus that only scores the model is no part of it.
    assert main([*args, "--leave-out", "tess", "--set", "licences.emodb=own"]) == 0
    assert len(trained) == 1


def test_another_licence_than_commercial_is_the_command_lines_fault(config, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(config), "--out", "run", "--licence", "mit"])
    assert stopped.value.code == 2
    assert "--licence" in capsys.readouterr().err
