from __future__ import annotations

import doctest
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import espressivo
import espressivo.errors
from espressivo.analyzer import Analyzer
from espressivo.errors import EspressivoError
from espressivo.model.classifier import Certainty, ModelCard
from espressivo.pipeline.stream import Stream
from espressivo.profile.profile import Profile
from espressivo.report import Adaptation, Report
from espressivo.speech.quality import Quality
from espressivo.speech.segments import SpeechOptions
from espressivo.types import Estimate, Segment
from tests.conftest import NOTE, ROOT


def test_all_is_complete_and_sorted():
    public = {
        name
        for name in vars(espressivo.errors).values()
        if isinstance(name, type) and issubclass(name, EspressivoError)
    }
    expected = {cls.__name__ for cls in public} | {
        "Analyzer",
        "Dimension",
        "Emotion",
        "Estimate",
        "Profile",
        "Report",
        "Segment",
        "SpeechOptions",
        "StreamState",
        "__version__",
        "load_model",
    }

    assert set(espressivo.__all__) == expected
    assert espressivo.__all__ == sorted(espressivo.__all__)
    for name in espressivo.__all__:
        assert getattr(espressivo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = espressivo.nonsense


def test_every_error_stands_in_the_drawn_tree():
    drawn = re.findall(r"^\s*[|`]-- (\w+)", espressivo.errors.__doc__, re.MULTILINE)

    assert drawn == [cls.__name__ for cls in EspressivoError.__subclasses__()]


def modules_with_examples():
    """Return the names of all modules whose docstrings hold examples."""
    return [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(
            ".__init__"
        )
        for path in sorted((ROOT / "src").rglob("*.py"))
        if re.search(r"^\s*>>> ", path.read_text("utf-8"), re.MULTILINE)
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_doctests(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # where examples/ is
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"needs an extra, for {error.name}")

    results = doctest.testmod(module)

    assert results.attempted > 0
    assert results.failed == 0


def requirements_of(name, seen):
    """Collect the distributions that `name` needs, without extras, recursively."""
    if name in seen:
        return
    distribution = importlib.metadata.distribution(name)
    seen[name] = distribution
    for line in distribution.requires or []:
        requirement, _, marker = line.partition(";")
        if "extra" in marker or "python_version <" in marker or "win32" in marker:
            continue
        requirements_of(re.match(r"[\w.-]+", requirement)[0], seen)


@pytest.fixture(scope="module")
def runtime_only(tmp_path_factory):
    """A folder with espressivo and exactly what it declares to need, nothing else."""
    folder = tmp_path_factory.mktemp("site-packages")
    needed = {}
    requirements_of("espressivo", needed)
    del needed["espressivo"]
    for distribution in needed.values():
        for top in {file.parts[0] for file in distribution.files or []}:
            source = distribution.locate_file(top)
            target = folder / top
            if top != ".." and source.exists() and not target.exists():
                target.symlink_to(source)
    (folder / "espressivo").symlink_to(ROOT / "src" / "espressivo")
    return folder


def run_alone(folder, *command):
    """Run Python with `folder` as its only packages (-S: no site-packages)."""
    return subprocess.run(
        [sys.executable, "-S", *command],
        env={"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_analyze_runs_where_nothing_of_training_is_installed(runtime_only):
    for absent in ("torch", "transformers", "librosa", "sklearn", "scipy", "onnx"):
        assert run_alone(runtime_only, "-c", f"import {absent}").returncode == 1

    done = run_alone(runtime_only, "-m", "espressivo", "analyze", str(NOTE))

    assert done.returncode == 0, done.stderr
    assert "whole recording" in done.stdout


def test_bench_runs_where_nothing_of_training_is_installed(runtime_only):
    options = ["--rounds", "1", "--seconds", "1", "--profile"]
    done = run_alone(runtime_only, "-m", "espressivo", "bench", *options)

    assert done.returncode == 0, done.stderr
    assert "GMAC for 1 s" in done.stdout


def test_onnxruntime_does_not_report_to_its_maker(tmp_path):
    # When it would, it keeps an identifier of the device and a session's file.
    folders = dict.fromkeys(("TMPDIR", "HOME", "XDG_CACHE_HOME"), str(tmp_path))
    environment = os.environ | folders
    environment.pop("ORT_DISABLE_TELEMETRY", None)

    subprocess.run(
        [sys.executable, "-c", "import espressivo; espressivo.load_model()"],
        env=environment,
        check=True,
    )

    assert list(tmp_path.rglob("*")) == []


def test_training_commands_say_what_to_install(runtime_only, tmp_path):
    config = ROOT / "recipes" / "espressivo-tiny.toml"
    done = run_alone(
        runtime_only, "-m", "espressivo", "train", str(config), "--out", str(tmp_path)
    )

    assert done.returncode == 1
    assert 'pip install "espressivo[train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_archive_says_what_to_install(runtime_only, tmp_path):
    argv = ("archive", str(NOTE.parent), "--out", str(tmp_path / "out"))
    done = run_alone(runtime_only, "-m", "espressivo", *argv)

    assert done.returncode == 1
    assert 'pip install "espressivo[archive]"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_imports_nothing_heavy(runtime_only):
    code = (
        "import sys; from espressivo.cli.main import build_parser; build_parser();"
        "print(sorted({'numpy','onnxruntime','av','rich'} & set(sys.modules)))"
    )
    done = run_alone(runtime_only, "-c", code)

    assert done.stdout.strip() == "[]"


ATTRIBUTES = (
    *(Report, Estimate, Segment, Adaptation, Quality, Analyzer, Stream, Profile),
    *(ModelCard, Certainty, SpeechOptions),
)


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_the_page_lists_every_attribute(kind, analyzer):
    page = (ROOT / "docs" / "analyze.md").read_text("utf-8")
    pattern = rf"^### {kind.__name__}\n(.*?)^##"
    (table,) = re.findall(pattern, page, re.MULTILINE | re.DOTALL)
    cells = "".join(re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE))
    listed = re.findall(r"`(?:\w+\.)?(\w+)(?:\([^`]*\))?`", cells)

    found = analyzer if kind is Analyzer else kind  # its attributes are no properties
    assert sorted(listed) == [name for name in dir(found) if not name.startswith("_")]


def test_the_lowest_versions_that_are_tested_are_those_that_are_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"]]
    for extra in ("plot", "pandas", "archive", "serve"):
        named += extras[extra]
    allowed = {}
    for requirement in map(Requirement, named):
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        allowed[requirement.name] = Version(bound.version)

    tested = {}
    for line in (ROOT / "constraints-lowest.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            tested[name] = Version(version)
    del tested["pyparsing"]  # the newest does not go with the lowest matplotlib

    assert tested == allowed
