"""The command line: parse, call, print. One module a command."""

from espressivo.cli.main import main

__all__ = ["main"]
