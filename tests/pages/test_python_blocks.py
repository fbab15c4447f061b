"""The Python blocks of a page run, in their order, sharing names."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from espressivo.types import Emotion
from tests.pages.blocks import blocks_of


def run(page, skip=(), change=(), **names):
    """Execute the page's Python blocks and return their names.

    Blocks with a text of `skip` are left out; `change` is what to replace, by what.
    """
    names["__name__"] = "__main__"
    for block in blocks_of(page):
        if block.language != "python" or any(text in block.text for text in skip):
            continue
        code = "\n" * block.line + block.text  # so that errors name the page's lines
        for old, new in change:
            assert old in code, old
            code = code.replace(old, new)
        exec(compile(code, page, "exec"), names)
    return names


def test_readme(folder):
    report = run("README.md")["report"]

    assert report.emotion in report.probabilities
    assert report.estimates
    assert report.summary.endswith(".")
    assert [*report.dimensions] == ["arousal", "valence"]


def test_analyze(folder, note):
    pytest.importorskip("pandas", reason="needs the extra 'pandas'")
    with (folder / "note.m4a").open("rb") as upload:
        names = run(
            "docs/analyze.md",
            samples=note[:48_000],
            chunks=np.array_split(note[:80_000], 4),
            paths=["note.m4a", "monday.m4a"],
            upload=upload,
        )

    assert isinstance(names["left"].emotion, Emotion)
    assert len(names["frame"]) == 2
    assert names["vectors"].dtype == np.float32
    assert len(names["vectors"]) == len(names["segments"])
    assert names["report"].estimates


def test_adaptation(folder):
    report = run("docs/adaptation.md")["report"]

    assert report.adaptation.setting == "hotline"
    assert 0 < report.adaptation.weight < 1
    assert (folder / "profiles" / "me.json").is_file()


def test_archive(folder, capsys):
    pytest.importorskip("pyarrow", reason="needs the extra 'archive'")

    names = run("docs/archive.md", change=[("workers=4", "workers=1")])

    assert names["summary"].failures == {}
    assert "neutral" in capsys.readouterr().out


def test_api(folder, analyzer, capsys):
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    from tests.api.clients import running

    with running(analyzer) as url:
        run(
            "docs/api.md",
            change=[("ws://127.0.0.1:8766", url.replace("http", "ws").rstrip("/"))],
        )

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("estimate ")
    assert lines[-1].startswith("report ")


def test_audit(folder, capsys):
    pytest.importorskip("torch", reason="needs the extra 'train'")
    rows = ["fold,part,id,speaker", "1,train,a,ann", "1,test,b,ann"]
    (folder / "folds.csv").write_text("\n".join(rows))

    run("docs/audit.md")

    assert "speakers" in capsys.readouterr().out


def test_bench(folder):
    pytest.importorskip("onnx", reason="needs the extra 'train'")
    from tests.bench.graphs import product

    graph = product(-1, 16, 4).SerializeToString()

    names = run("docs/bench.md", fp32=graph, int8=graph)

    assert {name: len(times) for name, times in names["times"].items()} == {
        "fp32": 21,
        "int8": 21,
    }
    assert names["costs"].macs > 0
    assert names["memory"] > 0


def test_export(folder, note):
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from tests.training.runs_to_export import make_network, write_corpus, write_run

    run_folder = folder / "runs" / "tiny"
    run_folder.mkdir(parents=True)
    write_run(run_folder, make_network(), write_corpus(folder, note))

    few = "temperature=1.4, n_calibration=8, n_checks=4"
    report = run("docs/export.md", change=[("temperature=1.4", few)])["report"]

    assert report.parity < 1e-4
    assert 0 <= report.agreement.top1 <= 1


def test_extending(folder):
    """The page's files are run by tests/training/test_extending.py; here the rest."""
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from safetensors import safe_open

    state = {"encoder.conv1.weight": torch.ones(2), "decoder.ln.weight": torch.ones(2)}
    torch.save({"model_state_dict": state}, "small.pt")

    run("docs/extending.md", skip=("def ", "NAME = ", "register"))

    with safe_open("whisper_small_encoder_fp16.safetensors", "pt") as file:
        assert [*file.keys()] == ["conv1.weight"]


def test_tables(folder, results, capsys):
    shutil.copytree(results, folder, dirs_exist_ok=True)

    names = run("docs/tables.md")

    assert 0 < names["ours"].over_folds("ua").mean < 1
    assert "| system" in capsys.readouterr().out
    assert (folder / "report" / "report.html").is_file()
