"""`espressivo models`: terms, and models that are pulled from a host."""

import hashlib
import json
import re
import shutil

import pytest

from espressivo.cli.main import main
from espressivo.model.find import FOLDER_VARIABLE, bundled_models, find_model
from tests.conftest import NOTE
from tests.hosts import hosting


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


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of pulled models, which does not exist yet."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_model_is_indexed_hosted_pulled_used_and_removed(model, home, capsys):
    def run(*arguments, code=0):
        assert main([*map(str, arguments)]) == code
        return capsys.readouterr()

    digest = hashlib.sha256((model / "model.json").read_bytes()).hexdigest()
    (model.parent / ".hidden").mkdir()
    (model.parent / ".hidden" / "model.json").write_text("{}")
    assert digest in run("models", "index", model.parent).out
    with hosting() as host:
        host.add(model)
        host.routes["/models.json"] = (model.parent / "models.json").read_bytes()
        out, err = run("models", "pull", host.url + "models.json")
        assert err == ""
        first, second, *_ = out.splitlines()
        assert re.fullmatch(r"model [\d.]+: \d+\.\d MB in (.*)", first)[1] == str(
            home / "model"
        )
        assert second == (
            f"sha256 of model.json: {digest}, not checked against anything known"
        )
        url = f"{host.url}model"
        out, _ = run("models", "pull", url, "--name", "model", "--sha256", digest)
        assert "there already, nothing done: " in out
        assert f"{digest}, as expected\n" in out
        change(model, version="2")
        host.add(model)
        out, err = run("models", "pull", url, "--name", "model", code=1)
        assert out == ""
        assert err.count("\n") == 1
        assert "give --replace" in err
        run("models", "pull", url, "--name", "model", "--replace")
        run("models", "pull", url, "--to", home.parent / "b", "--name", "c")

    assert (home.parent / "b" / "c" / "model.json").is_file()
    *bundled, pulled = run("models", "list").out.splitlines()
    assert [line.split()[0] for line in bundled] == bundled_models()
    assert {line.partition("  (")[2] for line in bundled} <= {
        "bundled)",
        "bundled, the default)",
    }
    assert re.match(r"model 2  \d+\.\d MB  anger, ", pulled)
    assert pulled.endswith(f"  ({home / 'model'})")
    assert "intact" in run("models", "verify", "model").out
    assert run("analyze", NOTE, "--model", "model", "--json").out
    assert run("models", "remove", "model").out == f"{home / 'model'}: removed\n"
    assert run("models", "remove", "model", code=1).err.count("\n") == 1
    assert "model: is neither a folder" in run("models", "verify", "model", code=1).err


def test_a_broken_pulled_model_is_listed_as_such(model, home, capsys):
    shutil.copytree(model, home / "a").joinpath("model.onnx").unlink()
    shutil.copytree(model, home / "b").joinpath("model.json").write_text("{}")
    shutil.copytree(model, home / "c")
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [*bundled_models(), "c"]
    assert err.count("\n") == 2
    assert main(["models", "remove", "b"]) == 0


def test_a_damaged_model_is_not_indexed(model, capsys):
    assert main(["models", "index", str(model)]) == 1
    assert "contains no model folder" in capsys.readouterr().err
    (model / "model.onnx").write_bytes(b"x")
    assert main(["models", "index", str(model.parent)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert not (model.parent / "models.json").exists()
