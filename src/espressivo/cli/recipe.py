"""Recipe arguments: a configuration file, and options that override its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders
from espressivo.cli.display.printing import tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from espressivo.training.clips.load import LoadedClip
    from espressivo.training.config import ExperimentConfig
    from espressivo.training.corpora import Utterance


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration file, and the options that override its settings."""
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
    """Return the configuration with the overrides of the options.

    Args:
        args: Arguments of a parser with `add_recipe_arguments`.
        named: Names of corpora in other options; the file must contain them.

    Raises:
        ConfigError: The configuration is invalid, or lacks one of these corpora.
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


def read_utterances(
    config: ExperimentConfig, left_out: Sequence[str]
) -> tuple[list[Utterance], list[Utterance]]:
    """Return the utterances to train on, and those of the corpora left out.

    Raises:
        CorpusError: A corpus is not where the recipe says.
    """
    from espressivo.training.corpora import read_corpora

    roots = dict(config.corpora)
    # A left-out corpus is scored with all its speakers, since none of them trains.
    held_out = {name: roots.pop(name) for name in dict.fromkeys(left_out)}
    rated = config.uses_rated
    return (
        read_corpora(roots, config.speakers, rated=rated),
        read_corpora(held_out, rated=rated),
    )


def load_utterances(
    utterances: Sequence[Utterance],
    config: ExperimentConfig,
    cache: Path | None,
    *,
    skip_unreadable: bool = False,
) -> list[LoadedClip]:
    """Return the decoded recordings of a recipe, with a bar.

    Args:
        utterances: The recordings.
        config: The recipe.
        cache: Folder that keeps what is decoded.
        skip_unreadable: List recordings that cannot be read, and go on.

    Raises:
        CorpusError: A recording cannot be read, and must not be skipped.
    """
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.clips.load import load_clips, require_readable

    with counting_bar("reading recordings") as on_loaded:
        clips, unreadable = load_clips(utterances, config.signal, cache, on_loaded)
    if not skip_unreadable:
        require_readable(unreadable)
    # Failures are listed all the same, since they could also mean a missing disk.
    for skipped in unreadable:
        tell(f"skipped: {skipped.reason}")
    return clips
