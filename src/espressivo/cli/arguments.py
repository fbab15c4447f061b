"""Kinds of argument that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def named_folder(text: str) -> tuple[str, Path]:
    """Read `NAME=DIR`, such as `ravdess=corpora/ravdess`."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=DIR, such as ravdess=corpora/ravdess"
        )
    return name, Path(folder).expanduser().absolute()


def whole_number(text: str) -> int:
    """Read a count of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def add_named_folders(parser: argparse.ArgumentParser, option: str, text: str) -> None:
    """Add an option that takes `NAME=DIR` and may be given several times."""
    parser.add_argument(
        option,
        type=named_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help=f"{text}; repeatable",
    )
