"""Run a study as a command: errors of the user become one line and exit code 1."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from espressivo.errors import EspressivoError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def run(study: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a study and return its exit code, as the `espressivo` commands do."""
    try:
        return study(args)
    except EspressivoError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
