"""Writes docs/cli.md, the help text of every command: `python docs/make-cli.py`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.main import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("cli.md")

_HEAD = """\
# Commands

The help text of every command, as `espressivo COMMAND --help` prints it on 80 columns.
A test compares this page with the commands; `python docs/make-cli.py` writes it anew.
"""


def make_page() -> str:
    """Return the page, in Markdown."""
    os.environ["COLUMNS"] = "80"  # where argparse reads how wide the terminal is
    sections = (
        f"\n## {parser.prog}\n\n```\n{parser.format_help()}```\n"
        for parser in _parsers(build_parser())
    )
    return _HEAD + "".join(sections)


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser, then those of its commands, in the order of the help."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _parsers(command)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
