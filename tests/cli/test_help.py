from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="argparse lays help out differently since 3.13"
)
def test_the_page_of_commands_holds_their_help_texts(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs/make-cli.py")
    make_cli = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_cli)

    page = make_cli.PAGE.read_text("utf-8")

    assert page == make_cli.make_page(), "stale; run: python docs/make-cli.py"
