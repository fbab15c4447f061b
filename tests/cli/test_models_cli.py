"""`espressivo models show`: what a model may be used for."""

import json
import shutil

import pytest

from espressivo.cli.main import main
from espressivo.model.find import find_model


@pytest.fixture
def model(tmp_path):
    """A copy of the bundled model, whose card can be changed."""
    return shutil.copytree(find_model("espressivo-tiny"), tmp_path / "model")


def change(model, **entries):
    card = json.loads((model / "model.json").read_text("utf-8"))
    (model / "model.json").write_text(json.dumps(card | entries), "utf-8")


def test_show_tells_what_the_model_forbids(capsys):
    assert main(["models", "show", "espressivo-tiny"]) == 0
    use = json.loads(capsys.readouterr().out)["use"]
    assert use["commercial"] == "no"
    assert set(use["forbids"]["commercial use"]) >= {"RAVDESS", "TESS", "nEMO"}
    assert use["forbids"]["sharing of adaptations"] == ["TESS"]


def test_terms_are_a_text_with_a_line_for_each_source(capsys):
    assert main(["models", "show", "espressivo-tiny", "--terms"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("espressivo-tiny ")
    assert "\ncommercial use: no\n" in out
    for title in ("EmoDB", "nEMO", "RAVDESS", "TESS", "OpenAI Whisper"):
        assert f"\n{title} " in out


def test_a_model_of_free_data_may_be_sold(model, capsys):
    corpus = {"name": "librispeech", "title": "LibriSpeech", "license": "CC BY 4.0"}
    change(model, training_corpora=[corpus])
    assert main(["models", "show", str(model), "--terms"]) == 0
    out = capsys.readouterr().out
    assert "Any use, commercial use and sale included" in out
    assert "\ncommercial use: yes\n" in out


def test_a_card_that_tells_no_data_is_unclear(model, capsys):
    change(model, training_corpora=[], starting_weights=None)
    assert main(["models", "show", str(model), "--terms"]) == 0
    assert "\ncommercial use: unclear\n" in capsys.readouterr().out


def test_a_malformed_card_is_one_line_and_exit_1(model, capsys):
    change(model, training_corpora=["tess"])
    assert main(["models", "show", str(model)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "training_corpora" in err
    assert err.count("\n") == 1


def test_what_a_card_says_does_nothing_to_a_terminal(model, capsys):
    change(model, training_corpora=[{"name": "\x1b[31mevil\n", "title": "x"}])
    assert main(["models", "show", str(model), "--terms"]) == 0
    assert "\x1b" not in capsys.readouterr().out
