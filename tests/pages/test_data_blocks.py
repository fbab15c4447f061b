"""Data and printed output of the documentation is what the program reads and prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib

import pytest

from espressivo.cli.main import main
from espressivo.model.find import find_model
from espressivo.serve.app_server import PAGE_POLICY
from tests.conftest import ROOT
from tests.pages.blocks import PAGES, blocks_of, calls_of, is_synopsis
from tests.trees import build_crema_d, build_iemocap

TESTED = {
    "sh": "tests/pages/test_commands.py",
    "python": "tests/pages/test_python_blocks.py",
    "toml": "tests/pages/test_data_blocks.py",
    "csv": "tests/pages/test_data_blocks.py",
    "json": "tests/pages/test_data_blocks.py",
    "nginx": "tests/api/test_api_proxies.py",
    "caddy": "tests/api/test_api_proxies.py",
    "ts": "web/test/readme.test.ts",
    "js": "web/test/readme.test.ts",
    "html": "web/test/readme.test.ts",
}
"""Language of blocks -> the test that runs, compiles or reads them."""

HERE = {
    (
        "docs/architecture.md",
        "espressivo                             espressivo.training",
    ),
    (
        "docs/deploy.md",
        "Content-Security-Policy: default-src 'none'; script-src 'self' ",
    ),
}
"""Other blocks that tests below compare with the program, by their beginnings."""

NOT_TESTED = {
    ("docs/adaptation.md", "z = theta[k] + e,   e ~ N(0, I)"): "a formula",
    ("docs/adaptation.md", "responsibility[n, k] ∝ share[k] N("): "a formula",
    ("docs/adaptation.md", "log p = (1 - w) log plain + w log "): "a formula",
    ("docs/adaptation.md", "adapted to speaker 'me' by 3:12.0"): "the form of a line",
    ("docs/adaptation.md", "offset      53% known: 1.23 ± 0.7"): "the form of a line",
    ("docs/architecture.md", "flowchart LR"): "a drawing",
    ("docs/archive.md", "tables/archive.json    "): "a tree of files",
    ("docs/reproduce.md", "RESULT/"): "a tree of files",
    ("docs/models/espressivo-base.md", "samples -> same peak -> log-mel"): "a drawing",
    ("docs/models/espressivo-tiny.md", "samples -> same peak -> log-mel"): "a drawing",
    ("docs/models/espressivo-nano.md", "samples -> same peak -> log-mel"): "a drawing",
    ("docs/deploy.md", "// build.gradle.kts: implementation("): "needs Android's SDK",
    ("docs/deploy.md", "fun mayRecord(activity: Activity)"): "needs Android's SDK",
    ("docs/deploy.md", "// Package: https://github.com/microsoft"): "needs Xcode",
    ("docs/deploy.md", "final class Recorder {"): "needs Xcode",
}
"""Blocks that no test runs or reads, by their beginnings, and why."""

NOT_COMPARED = {
    "reproduce paper --iemocap IEMOCAP_full_release --crema-d CREMA-D": "takes minutes",
    "analyze examples/voice-note.m4a": "nothing is shown but a picture",
}
"""Commands of blocks with a prompt whose output is not compared, and why."""


def shown(page, *beginnings):
    """Return the blocks of a page that begin so."""
    return [b.text for b in blocks_of(page) if b.text.startswith(beginnings)]


def of_language(language):
    return [b for page in PAGES for b in blocks_of(page) if b.language == language]


def test_every_block_has_a_test_or_a_reason():
    known = [*HERE, *NOT_TESTED]
    met = set()
    for page in PAGES:
        for block in blocks_of(page):
            if block.language in ("inline", *TESTED) or is_synopsis(block):
                continue
            if block.text.startswith(("$ ", "usage: ")):
                continue
            first = block.key[1]
            found = [k for k in known if k[0] == page and first.startswith(k[1])]
            assert found, f"{block} has neither a test nor a reason: {first}"
            met |= {*found}

    assert met == {*known}, "no such block"
    assert all((ROOT / path).is_file() for path in TESTED.values())


@pytest.mark.parametrize("block", of_language("toml"), ids=str)
def test_toml_is_a_configuration(block, tmp_path):
    from espressivo.training.config import read_config
    from espressivo.training.networks import NETWORKS

    table = tomllib.loads(block.text)
    text = block.text if "name" in table else f'name = "mine"\n{block.text}'
    if "corpora" not in table:
        text += '\n[corpora]\nravdess = "."\niemocap = "."\n'
    if table.get("network", {}).get("kind", "whisper") not in NETWORKS:
        text = text.replace(table["network"]["kind"], "statistics")  # its reader's own
    (tmp_path / "mine.toml").write_text(text)

    trained = ["training.epochs=1", "classifier.fit=gradient"]  # as some tables need
    config = read_config(tmp_path / "mine.toml", trained)

    for key, value in table.items():
        found = getattr(config, key)
        for name in value if isinstance(value, dict) else ():
            assert name in found if isinstance(found, dict) else hasattr(found, name)


def test_csv_is_read(tmp_path, results):
    from espressivo.training.corpora.manifest import read_manifest
    from espressivo.training.scores.crossval_results import read_results
    from espressivo.training.tables.costs import read_points

    costs, *manifests = sorted(of_language("csv"), key=lambda b: b.page, reverse=True)
    (tmp_path / "calls").mkdir()
    for name in ("0001", "0002"):
        (tmp_path / "calls" / f"{name}.ogg").touch()
    for n, block in enumerate(manifests):
        (tmp_path / f"{n}.csv").write_text(block.text)
        assert read_manifest(tmp_path / f"{n}.csv")
    text = costs.text.replace("SIZE", "16.5").replace("TIME", "33")
    (tmp_path / "costs.csv").write_text(text)
    points = read_points(
        tmp_path / "costs.csv", [read_results(results / "runs/whisper")]
    )
    assert [point.size_mb for point in points] == [16.5, 23]


def test_json_is_an_index_of_models(tmp_path):
    (block,) = of_language("json")
    folder = tmp_path / "my-model"
    shutil.copytree(find_model("espressivo-tiny"), folder)

    assert main(["models", "index", str(tmp_path)]) == 0

    def form(value):
        if isinstance(value, dict):
            return {key: form(inner) for key, inner in value.items()}
        return [*map(form, value)] if isinstance(value, list) else type(value)

    written = json.loads((tmp_path / "models.json").read_text())
    for model in written["models"]:
        kept = ("model.json", "model.onnx")
        model["files"] = {name: model["files"][name] for name in kept}
    assert form(written) == form(json.loads(block.text))


def test_layers_are_those_of_the_contracts():
    (block,) = shown("docs/architecture.md", "espressivo    ")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    runtime, training, *_ = contracts["importlinter"]["contracts"]
    rows = [re.split(r"\s{2,}", row.strip()) for row in block.splitlines()[2:]]
    left, right = ([row[n] for row in rows if len(row) > n] for n in (0, 1))

    assert right == training["layers"]
    assert [part for row in left for part in row.split(" | ")] == [
        part for row in runtime["layers"][1:] for part in row.split(" | ")
    ]


def test_the_policy_is_the_servers():
    (block,) = shown("docs/deploy.md", "Content-Security-Policy: ")

    assert f"Content-Security-Policy: {PAGE_POLICY}; frame-ancestors 'none'" in block


def test_curl_gets_reports(folder, analyzer):
    pytest.importorskip("fastapi", reason="needs the extra 'serve'")
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    from tests.api.clients import running

    (block,) = [b for b in blocks_of("docs/api.md") if b.text.startswith("curl ")]
    with running(analyzer) as url:
        for call in calls_of(block, folder):
            words = [w.replace("http://127.0.0.1:8766", url.rstrip("/")) for w in call]
            done = subprocess.run([*words, "-s"], capture_output=True, check=True)
            assert json.loads(done.stdout)["emotion"] == "neutral"


def prompts():
    return [b for page in PAGES for b in blocks_of(page) if b.text.startswith("$ ")]


def write_folds(path, root):
    """Write the published folds of docs/audit.md, whose `speaker` is the name prefix.

    light-sernet: each prefix is tested and validates; pepino: each session is tested, a
    prefix of the next one validates.
    """
    from espressivo.training.corpora import read_corpus

    by_prefix = path.stem == "light-sernet"
    utterances = read_corpus("iemocap", root)
    prefix = {u.id: u.id.rpartition("/")[2][:6] for u in utterances}
    lines = ["fold,part,id,speaker,session,corpus,emotion"]
    for n in range(5):
        session, after = (f"Ses0{number % 5 + 1}" for number in (n, n + 1))
        for fold in (f"{session}F", f"{session}M") if by_prefix else (session,):
            for u in utterances:
                of = prefix[u.id]
                parts = ["test"] if of.startswith(fold) else ["train"]
                if by_prefix and of == fold:
                    parts.append("validation")
                elif not by_prefix and of == f"{after}F":
                    parts = ["validation"]
                name = u.id.rpartition("/")[2]
                rest = f"{name},{of},{of[:5]},iemocap,{u.emotion}"
                lines += [f"{fold},{part},{rest}" for part in parts]
    path.write_text("\n".join(lines))


def write_takes(path, root):
    """Write the folds of docs/audit.md: first takes train, second takes test."""
    from espressivo.training.corpora import read_corpus

    lines = ["fold,part,id,speaker,emotion,text"]
    for u in read_corpus("ravdess", root):
        name = u.id.rpartition("/")[2]
        part = "train" if name[15:17] == "01" else "test"
        speaker = u.speaker.rpartition("/")[2]
        lines.append(f"takes,{part},{name},{speaker},{u.emotion},{u.text}")
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("block", prompts(), ids=str)
def test_output(block, folder, request, monkeypatch, capsys):
    ((_, *argv),) = calls_of(block, folder)
    if any(" ".join(argv).startswith(beginning) for beginning in NOT_COMPARED):
        return
    if "ravdess" in " ".join(argv):
        shared = request.getfixturevalue("shared")
        monkeypatch.setenv("ESPRESSIVO_DATA", str(shared))
        (folder / "shared").symlink_to(shared)
        write_takes(folder / "takes.csv", shared / "corpora/ravdess")
    elif argv[0] == "reproduce":
        build_iemocap(folder)
        build_crema_d(folder)
    else:
        write_folds(folder / argv[2], build_iemocap(folder))

    main(argv)

    text = block.text.partition("\n")[2]
    pattern = re.escape(text.rstrip()).replace(re.escape("...\n"), r"(.*\n)*?", 1)
    assert re.fullmatch(pattern, capsys.readouterr().out.rstrip()), text
