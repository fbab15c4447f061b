"""`espressivo corpora audit`: check folds for leaks between their parts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders
from espressivo.cli.display.printing import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.folds.splits import Fold
    from espressivo.training.folds.table import ListedFold

_LEAK = 3  # exit code; other commands return 3 if some of their inputs failed

_DESCRIPTION = """\
Check folds for leaks: speakers or audio shared by training, validation and test parts,
and an epoch selected on the test part. Every recording is decoded and its samples are
compared, so that copies under other names are found. For IEMOCAP, the speaker is taken
from the recording's name (Ses01F_impro01_M003 is spoken by Ses01M), not from a column.
Shared sessions and sentences are listed, but do not count as leaks.

FOLDS is a table (.csv or .parquet) with the columns fold, part (train, validation,
test), id and speaker, and optionally path, session, corpus, emotion and text; or the
result folder of a cross-validation. CONFIG is the .toml of an experiment: the folds of
its [protocol] are audited before anything is trained."""

_EPILOG = """\
examples:
  espressivo corpora audit folds.csv
  espressivo corpora audit results/paper
  espressivo corpora audit mine.toml --corpus iemocap=~/corpora/iemocap
  espressivo corpora audit folds.csv --quick --json

exit codes:
  0 no leak, 1 the input cannot be read, 3 a leak"""


def add_audit(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `espressivo corpora`."""
    parser = actions.add_parser(
        "audit",
        help="do training and test share speakers or audio?",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", type=Path, metavar="FOLDS|CONFIG", help="a table, a folder or a .toml"
    )
    add_named_folders(
        parser, "--corpus", "where a corpus is, when not where the source says"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="compare names only; decode nothing (default: decode all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, names in full")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit the folds and print the findings; return 0, or 3 if there is a leak."""
    import json

    from espressivo.cli.display.audit_findings import counted, print_audit
    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.folds.audit import audit

    corpora = dict(args.corpus)
    is_config = args.source.suffix.lower() == ".toml"
    folds = (_configured if is_config else _tabled)(args.source, corpora)
    with counting_bar("listening") as progress:
        found = audit(folds, decode=not args.quick, progress=progress)
    if args.json:
        print_json(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        n_folds = counted(len(folds), "fold")
        title = f"{args.source}: {n_folds}{_protocol(args.source, folds)}"
        print_audit(found, title, PlainConsole(soft_wrap=True))
    return _LEAK if found.leaks else 0


def _tabled(path: Path, corpora: dict[str, Path]) -> list[ListedFold]:
    from espressivo.training.corpora import read_corpora
    from espressivo.training.folds.table import (
        locate,
        read_folds,
    )

    here = read_corpora(corpora)
    return locate(read_folds(path), here)


def _configured(path: Path, corpora: dict[str, Path]) -> list[Fold]:
    from espressivo.errors import ConfigError
    from espressivo.training.config import read_config
    from espressivo.training.corpora import read_corpora
    from espressivo.training.folds.protocol import make_folds

    config = read_config(path, corpora=corpora)
    if unknown := sorted(corpora.keys() - config.corpora.keys()):
        raise ConfigError(
            f"{path}: has no corpus {', '.join(unknown)} "
            f"(it has: {', '.join(config.corpora)}); say where one of these is"
        )
    utterances = read_corpora(config.corpora, config.speakers, rated=config.uses_rated)
    return make_folds(config.protocol, utterances, config.seed)


def _protocol(source: Path, folds: Sequence[Fold] | Sequence[ListedFold]) -> str:
    import json

    protocols = {getattr(fold, "protocol", "") for fold in folds}
    # The table of folds does not contain the protocol, but the result's card does.
    record = source / "crossval.json"
    if record.is_file():
        protocols = {str(json.loads(record.read_text("utf-8")).get("protocol", ""))}
    if "random" in protocols:
        return " (random: speakers are in several parts)"
    return f" ({protocols.pop()})" if protocols != {""} else ""
