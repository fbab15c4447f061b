"""What is published: licences, links of the README, and versions that agree."""

from __future__ import annotations

import json
import re
import shutil
import tomllib

import pytest
from hatch_build import absolute_links
from packaging.licenses import canonicalize_license_expression

from espressivo.model.classifier import read_card
from espressivo.model.find import bundled_models, find_model
from espressivo.training.corpora.use import sources_of_card, use_text
from tests.conftest import ROOT
from tools.check_release import complaints

URL = "https://host.example/o/espressivo"
CHECKED = (
    "src/espressivo/version.py",
    "web/package.json",
    "web/package-lock.json",
    "CITATION.cff",
    "CHANGELOG.md",
    "pyproject.toml",
)


def replace_in(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.fixture
def ready(tmp_path):
    """A checkout in which a maintainer has filled in what docs/publishing.md says."""
    for name in CHECKED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    pyproject, changes = tmp_path / "pyproject.toml", tmp_path / "CHANGELOG.md"
    replace_in(pyproject, 'repository = ""', f'repository = "{URL}"')
    changes.write_text("# Changelog\n\n## 0.1.0 (2026-12-01)\n")
    with (tmp_path / "CITATION.cff").open("a") as file:
        file.write("date-released: 2026-12-01\n")
    package = tmp_path / "web/package.json"
    repository = {"type": "git", "url": f"git+{URL}.git", "directory": "web"}
    content = json.loads(package.read_text()) | {"repository": repository}
    package.write_text(json.dumps(content, indent=2))
    return tmp_path


def test_the_versions_agree():
    assert not [line for line in complaints(ROOT) if "version is" in line]


def test_a_release_is_checked_before_it_is_tagged(ready):
    assert complaints(ready, "v0.1.0") == []

    assert "the tag: version is 0.1.1" in complaints(ready, "v0.1.1")[0]
    for name, old, new, said in (
        ("web/package.json", '"version": "0.1.0"', '"version": "0.2.0"', "is 0.2.0"),
        ("web/package.json", f"git+{URL}", "git+https://x", "repository is not"),
        ("CITATION.cff", "2026-12-01", "2026-12-02", "not 2026-12-01"),
        ("CHANGELOG.md", "2026-12-01", "unreleased", "no heading"),
        ("pyproject.toml", URL, "", "repository is ''"),
    ):
        shutil.copy(ready / name, ready / "kept")
        replace_in(ready / name, old, new)
        (line,) = complaints(ready, "v0.1.0")
        assert said in line
        shutil.move(ready / "kept", ready / name)


def test_the_weights_terms_are_what_the_corpora_make_them():
    text = (ROOT / "LICENSES/LicenseRef-espressivo-weights.txt").read_text("utf-8")
    words = " ".join(text.split())
    for name in bundled_models():
        card = read_card(find_model(name))
        sources = sources_of_card(card.details)
        said = "".join(f" - {source.title}: {source.licence}" for source in sources)
        assert f"{name} {card.version} {use_text(sources)} Made from:{said}" in words


def test_what_is_inside_is_licensed_by_name_and_text():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    expression = project["license"]
    assert canonicalize_license_expression(expression) == expression
    assert "LicenseRef-espressivo-weights" in expression
    listed = (ROOT / "web/build/licences.ts").read_text("utf-8")
    texts = {path.name for path in (ROOT / "LICENSES").iterdir()}
    assert set(re.findall(r"LICENSES/([\w.-]+\.txt)", listed)) == texts
    for name in ("mediabunny", "comlink"):
        installed = ROOT / "web/node_modules" / name / "LICENSE"
        if installed.exists():
            copied = (ROOT / f"LICENSES/{name}.txt").read_bytes()
            assert copied == installed.read_bytes()


def test_links_of_the_readme_are_absolute_where_it_is_published():
    text = (ROOT / "README.md").read_text("utf-8")
    published = absolute_links(text, URL, "v0.1.0")
    targets = re.findall(r"\]\((\S+?)\)", published)
    assert len(targets) > 10
    assert all(target.startswith(("https://", "#")) for target in targets)
    for path in re.findall(rf"{URL}/(?:blob|raw)/v0\.1\.0/([^)#]+)", published):
        assert (ROOT / path).exists()

    assert absolute_links("![A](a.png)[b](c.md) `d`", "", "v1") == "b `d`"
    assert absolute_links("```\nx[0](y)\n```", URL, "v1") == "```\nx[0](y)\n```"
