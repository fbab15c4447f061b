"""The README's code runs; its other commands are ones that the parser takes."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

from espressivo.cli.main import build_parser, main
from tests.conftest import NOTE, ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
RUN_HERE = ("adapt", "analyze", "archive", "profile")
"""Commands that need neither corpora, nor a microphone, nor an end by Ctrl-C."""


def commands():
    """Return the command lines of `espressivo`, in blocks and in the text."""
    lines = [
        line.removeprefix("$ ").partition("  #")[0].partition(" # ")[0].strip()
        for language, block in BLOCKS
        if language in ("", "sh")
        for line in block.splitlines()
    ]
    lines += re.findall(r"`(espressivo [a-z][^`]*)`", README)
    return [line for line in lines if line.startswith("espressivo ")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the README speaks of."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "calls").mkdir()
    for copy in ("note.m4a", "notes/monday.m4a", "calls/1.m4a"):
        shutil.copy(NOTE, tmp_path / copy)
    row = "1,calls/1.m4a,hotline,ann\n"
    (tmp_path / "calls.csv").write_text("id,path,group,speaker\n" + row)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESPRESSIVO_PROFILES", str(tmp_path / "profiles"))


@pytest.mark.parametrize("line", commands())
def test_commands(line, here, capsys):
    argv = shlex.split(line)[1:]
    if argv[0] not in RUN_HERE:
        build_parser().parse_args(argv)
        return
    if argv[0] == "archive":
        pytest.importorskip("pyarrow", reason="needs the extra `archive`")

    assert main(argv) == 0
    assert capsys.readouterr().out


def test_python(here):
    (code,) = [block for language, block in BLOCKS if language == "python"]
    names = {}

    exec(code, names)

    assert names["report"].emotion in names["report"].probabilities
    assert names["report"].estimates


def test_the_readme_shows_commands_of_every_kind():
    shown = {line.split()[1] for line in commands()}

    assert {*RUN_HERE, "api", "crossval", "export", "listen", "serve"} <= shown
