"""`espressivo compress distil`."""

from __future__ import annotations

import argparse


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo compress`."""
    actions.add_parser("distil", help="not written yet")
