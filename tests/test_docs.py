"""Pages name what is there: links lead somewhere, the map shows every package."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

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
