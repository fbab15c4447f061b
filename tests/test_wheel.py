from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tests.conftest import ROOT
from tools.distributions.contents import (
    KINDS,
    Checkout,
    problems_of,
    problems_of_build,
)

APP = {
    "index.html": "the app",
    "assets/index-B3xQ_z1a.js": "code",
    "models/models.json": "{}",
    "models/espressivo-tiny/LICENSES/TRAINING-DATA.md": "a copy",
}


@pytest.fixture
def checkout(tmp_path):
    """What is packaged, and a small app; build outputs and dependencies beside it."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in (
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        ".gitignore",
    ):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "LICENSES", root / "LICENSES")
    shutil.copytree(
        ROOT / "src",
        root / "src",
        ignore=shutil.ignore_patterns("__pycache__", "*.onnx"),
    )
    for card in (root / "src").rglob("model.json"):  # small ones, which zip at once
        card.with_name("model.onnx").write_text(card.parent.name)
    for name, text in {
        "docs/report.schema.json": "{}",
        "web/package.json": "{}",
        "web/src/main.ts": "sources",
        "web/build/models.ts": "a plugin",
        "web/lib/espressivo.js": "built for npm",
        "web/node_modules/vite/index.js": "not ours",
        ".venv/lib/python/x.py": "not ours",
        **{f"web/dist/{name}": text for name, text in APP.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def hatchling(root, path, *options, status=0):
    """Build as pip would, with `path` as PATH, and return what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", root / "out", *options],
        cwd=root,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def build(root, target, path):
    said = hatchling(root, path, "-t", target)
    (built,) = (root / "out").iterdir()
    return built, said


def app_in(wheel):
    """Return the names of the app's files in a wheel."""
    prefix = "espressivo/assets/app/"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    assert "espressivo/assets/models/espressivo-tiny/model.onnx" in names
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def test_a_wheel_holds_the_app_and_each_model_once(checkout, tmp_path):
    wheel, _ = build(checkout, "wheel", tmp_path / "empty")

    assert app_in(wheel) == {
        name for name in APP if not name.startswith("models/espressivo-tiny")
    }
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("espressivo/assets/app/index.html") == b"the app"
        assert not [n for n in archive.namelist() if n.startswith("web")]


def test_a_wheel_from_the_sdist_needs_no_node(checkout, tmp_path):
    sdist, _ = build(checkout, "sdist", tmp_path / "empty")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
        names = {name.partition("/")[2] for name in archive.getnames()}
    (root,) = (tmp_path / "unpacked").iterdir()

    assert {n for n in names if n.startswith("web/")} == {
        "web/package.json",
        "web/src/main.ts",
        "web/build/models.ts",
        "web/dist/index.html",
        "web/dist/assets/index-B3xQ_z1a.js",
        "web/dist/models/models.json",
    }
    assert not [n for n in names if ".venv" in n or "node_modules" in n]
    wheel, said = build(root, "wheel", tmp_path / "empty")
    assert "index.html" in app_in(wheel)
    assert "building" not in said


def test_without_npm_a_wheel_has_no_app_and_says_so(checkout, tmp_path):
    shutil.rmtree(checkout / "web" / "dist")

    wheel, said = build(checkout, "wheel", tmp_path / "empty")

    assert app_in(wheel) == set()
    assert "no npm on PATH" in said
    assert "The wheel will not hold the app." in said


def test_without_npm_there_is_no_sdist_without_the_app(checkout, tmp_path):
    shutil.rmtree(checkout / "web" / "dist")

    said = hatchling(checkout, tmp_path / "empty", "-t", "sdist", status=1)

    assert "no npm on PATH" in said
    assert not list((checkout / "out").glob("*"))


def test_with_npm_a_wheel_gets_the_app_built(checkout, tmp_path):
    shutil.rmtree(checkout / "web" / "dist")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in {
        "node": "echo v20.19.0",
        "npm": "PATH=/usr/bin:/bin; mkdir -p dist; echo new > dist/index.html",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    wheel, _ = build(checkout, "wheel", programs)

    assert app_in(wheel) == {"index.html"}


def test_an_editable_install_builds_nothing(checkout, tmp_path):
    shutil.rmtree(checkout / "web" / "dist")

    said = hatchling(checkout, tmp_path, "-t", "wheel:editable", "--hooks-only")

    assert "app" not in said


def test_make_dist_names_what_an_npm_package_lacks_and_what_is_wrong_in_it(tmp_path):
    kind = KINDS["npm package"]
    content = dict.fromkeys(kind.promised, b"mpg123")
    content |= {
        "lib/models/espressivo-base/model.onnx": b"another model",
        "lib/models/espressivo-base/model.json": json.dumps({"sha256": "0"}).encode(),
        "lib/.DS_Store": b"",
    }
    del content["lib/types/index.d.ts"]
    package = tmp_path / "espressivo-0.1.0.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    problems = problems_of(kind, package, Checkout(frozenset(), {}, {"new.js": 1}))

    assert {line.removeprefix(f"{package.name}: ") for line in problems} >= {
        "lib/types/index.d.ts is missing",
        "lib/new.js is missing",
        "lib/models/espressivo-tiny/model.onnx is missing",
        "lib/.DS_Store does not belong there",
        "lib/models/espressivo-base/model.onnx has another hash than model.json",
        "lib/licences.txt is without Silero VAD",
    }


def test_the_app_is_held_to_its_size_with_all_models_and_with_the_smallest_alone():
    sizes = {
        "index.html": 1,
        "assets/ort-wasm-simd-threaded-DcHrbrbl.wasm.gz": 3_000_000,
        "models/models.json": 1,
        "models/big/model.onnx": 9_000_000,
        "models/small/model.onnx": 900_000,
        "models/small/model.json": 100_000,
    }

    assert problems_of_build("dist", sizes, 14, 5) == []
    assert problems_of_build("dist", sizes, 12, 4) == [
        "dist: 13.00 MB, not at most 12",
        "dist: 4.00 MB with its smallest model, not at most 4",
    ]
    stray, twice = problems_of_build("dist", {**sizes, "a.py": 1, "assets/b.wasm": 1})
    assert stray == "dist: a.py does not belong there"
    assert twice.startswith("dist: 2 runtimes ['assets/ort-wasm-simd-threaded-")
