"""`espressivo compress search`."""

from __future__ import annotations

import argparse


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo compress`."""
    actions.add_parser("search", help="not written yet")
