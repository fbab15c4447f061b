"""Recipes on the command line: a configuration file, and options that adapt it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from espressivo.training.config import ExperimentConfig


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration file, and the options that adapt it to this machine."""
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    add_named_folders(
        parser, "--corpus", "where a corpus is, in place of what the configuration says"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="replace a setting, such as training.epochs=5 or "
        "network.weights=checkpoints/distilhubert; repeatable",
    )


def read_recipe(
    args: argparse.Namespace, named: Iterable[str] = ()
) -> ExperimentConfig:
    """Read the configuration, adapted by the options.

    Args:
        args: Arguments of a parser with `add_recipe_arguments`.
        named: Corpora that other options name, which must be in the file too.

    Raises:
        ConfigError: The configuration is invalid, or lacks a corpus that was named.
    """
    from espressivo.errors import ConfigError
    from espressivo.training.config import read_config

    config = read_config(args.config, args.settings, dict(args.corpus))
    for name in [*dict(args.corpus), *named]:
        if name not in config.corpora:
            raise ConfigError(
                f"{args.config}: has no corpus '{name}' (it has: "
                f"{', '.join(config.corpora) or 'none'}); add it under [corpora]"
            )
    return config
