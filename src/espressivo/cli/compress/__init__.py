"""`espressivo compress`: smaller networks by pruning, distillation and search."""

from __future__ import annotations

import argparse

from espressivo.cli.compress import distil, prune, search

_DESCRIPTION = """\
Make a network smaller. Each command ends with a run folder, of which
`espressivo export` makes a model:

  prune    remove heads, neurons, channels and blocks of a trained network
  distil   train a small network to do what a large one does
  search   find the shapes of students that are worth training"""

_EPILOG = """\
`espressivo compress COMMAND --help` tells more, docs/compression.md what each step
gave."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "compress",
        help="make a network smaller: prune, distil, search",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="COMMAND", required=True)
    for action in (prune, distil, search):
        action.add_parser(actions)
