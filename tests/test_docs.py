"""Pages name what is there: links lead somewhere, the map shows every package."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.pages import blocks

PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "research/**/*.md", "recipes/*.md")
    for page in ROOT.glob(pattern)
)
PACKAGE = ROOT / "src" / "espressivo"
MAP = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def anchors_of(page):
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), link


def test_the_index_links_every_page():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "index.md" or f"({name})" in index, name


@pytest.mark.parametrize("folder", [PACKAGE, PACKAGE / "training"])
def test_the_map_names_every_package_and_module(folder):
    for path in folder.iterdir():
        is_package = (path / "__init__.py").exists()
        if is_package or (path.suffix == ".py" and not path.stem.startswith("_")):
            assert re.search(rf"\b{path.stem}\b", MAP), path.name


def test_the_modules_that_the_map_walks_through_are_there():
    walked = re.findall(r"`([\w/]+\.py)`", MAP)

    assert len(walked) > 40
    for name in walked:
        assert (PACKAGE / name).exists() or (PACKAGE / "training" / name).exists(), name


FOLDERS = "src|docs|web|tests|research|benchmarks|recipes|tools|examples"
ABSENT = {
    "research/profiles": "removed; research/adaptation/README.md says in which commit",
    "web/dist": "built",
    "web/dist/_headers": "built",
    "web/lib": "built",
}


def test_files_and_modules_that_the_text_names_are_there():
    named = {
        code.text.rstrip("/"): code
        for page in blocks.PAGES
        for code in blocks.blocks_of(page)
        if code.language == "inline"
    }
    paths = [n for n in named if re.fullmatch(rf"({FOLDERS})/[\w./*-]+", n)]
    modules = [n for n in named if re.fullmatch(r"espressivo(\.[a-z_]+){2,}", n)]

    assert len(paths) > 20
    assert len(modules) > 3
    for path in {*paths} - {*ABSENT}:
        assert [*ROOT.glob(path)], f"{named[path]}: {path}"
    for module in modules:
        path = ROOT / "src" / module.replace(".", "/")
        there = path.is_dir() or path.with_suffix(".py").is_file()
        assert there or find_name(path), f"{named[module]}: {module}"


def find_name(path):
    """Return whether a package or module, the path's parent, has the name."""
    package, name = path.parent, path.name
    files = [package / "__init__.py", package.with_suffix(".py")]
    return any(name in f.read_text("utf-8") for f in files if f.is_file())
