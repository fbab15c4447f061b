"""`espressivo corpora`: list supported corpora, or check a copy of one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.audit import add_audit
from espressivo.cli.display.printing import print_json
from espressivo.text import to_line

if TYPE_CHECKING:
    from rich.console import Console

    from espressivo.training.corpora.check import CorpusCheck

_N_NAMED = 20
_COLUMNS = (
    "name", "recordings", "speakers", "labels used", "licence", "commercial"
)  # fmt: skip

_DESCRIPTION = """\
List the corpora of emotional speech that can be read, check that one of them is
complete and intact before days of training depend on it, or audit folds for leaks."""

_CHECK_DESCRIPTION = """\
Compare a corpus on disk with what its authors published: how many recordings of each
emotion and speaker (IEMOCAP: of each session, talker and style), and by name what is
missing, as far as names are known. A part that is published or often kept by itself
(a subset of LibriSpeech, the public sample of emotiontts, four emotions of EMOVO) may
be left out as a whole; the check says so. Every recording is decoded: those that do not
decode, or hold next to nothing, are named, and so are recordings with identical audio.
Recordings may be .wav as published, .flac or .opus. With `manifest` in place of a
corpus, DIR is a table (.csv or .parquet) of your own recordings."""

_CHECK_EPILOG = """\
examples:
  espressivo corpora check ravdess ~/corpora/ravdess
  espressivo corpora check tess ~/corpora/tess --quick
  espressivo corpora check manifest calls.csv --json

exit codes:
  0 complete and intact, 1 not"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "corpora",
        help="corpora of emotional speech: list, check, audit",
        description=_DESCRIPTION,
    )
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    text = "the corpora that can be read, with their licences"
    actions.add_parser("list", help=text, description=text).set_defaults(run=_list)
    check = actions.add_parser(
        "check",
        help="is a corpus complete and intact?",
        description=_CHECK_DESCRIPTION,
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("corpus", metavar="CORPUS", help="a listed corpus, or manifest")
    check.add_argument("root", type=Path, metavar="DIR", help="where it is")
    check.add_argument(
        "--quick",
        action="store_true",
        help="count and compare names only; decode nothing (default: decode all)",
    )
    check.add_argument("--json", action="store_true", help="print JSON, names in full")
    check.set_defaults(run=run)
    add_audit(actions)


def _list(_: argparse.Namespace) -> int:
    from rich.table import Table

    from espressivo.cli.display.console import PlainConsole
    from espressivo.training.corpora import CORPORA

    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for corpus in CORPORA.values():
        used = [
            name if name == emotion else f"{name} ({emotion})"
            for name, emotion in corpus.emotions.items()
        ]
        labels = corpus.published_labels
        table.add_row(
            corpus.name,
            str(sum(labels.get(name, 0) for name in corpus.emotions) or "varies"),
            str(corpus.n_speakers or "varies"),
            ", ".join(used),
            str(corpus.license),
            corpus.license.commercial,
        )
    PlainConsole().print(table)
    return 0


def run(args: argparse.Namespace) -> int:
    """Check one corpus; return 0 if it is complete and intact, or else 1."""
    import json

    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.corpora.check import check_corpus

    with counting_bar(f"listening to {args.corpus}") as progress:
        check = check_corpus(
            args.corpus, args.root, decode=not args.quick, progress=progress
        )
    if args.json:
        print_json(json.dumps(check.to_dict(), indent=2, ensure_ascii=False))
    else:
        # Soft wrap keeps long paths on one line, so that they can be copied.
        _print(check, PlainConsole(soft_wrap=True))
    return 0 if check.complete else 1


def _print(check: CorpusCheck, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=check.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("emotion")
    table.add_column("found", justify="right")
    table.add_column("published", justify="right")
    for label, (found, published) in check.by_label().items():
        wrong = published is not None and found != published
        table.add_row(
            label,
            Text(str(found), style="red" if wrong else ""),
            "not compared" if published is None else str(published),
        )
    console.print(table)
    _print_parts(check, console)
    _name(console, "speakers of whom nothing is there", check.absent)
    differing = [str(difference) for difference in check.differing]
    _name(console, "differ from the published count", differing)
    _name(console, "missing", check.missing)
    _name(console, "not part of the published corpus", check.unexpected)
    _name(console, "without a label in the corpus's sheets", check.unlabelled)
    broken = [f"{b.path}: {b.reason}" for b in check.broken]
    _name(console, "broken", broken)
    mute = [f"{b.path}: {b.reason}" for b in check.known_broken]
    _name(console, "broken, published so", mute, style="dim")
    _name(console, "identical audio", [" = ".join(g) for g in check.same_audio])
    _name(console, "passed over, not named as in it", check.ignored, style="dim")
    known = [" = ".join(group) for group in check.known_same_audio]
    _name(console, "identical audio, published so", known, style="dim")
    whole = check.complete
    selected = whole and check.selection and not check.published
    words = "a selection" if selected else "complete" if whole else "not complete"
    verdict = (words, "green" if whole else "red")
    intact = ", intact" if selected else " and intact"
    if not (whole and check.decoded):
        intact = ""
    note = "" if check.decoded else " (by names alone: nothing was decoded)"
    console.print(Text.assemble(to_line(f"{check.root}: "), verdict, intact, note))


def _print_parts(check: CorpusCheck, console: Console) -> None:
    if check.selection:
        console.print(
            f"in none of its published parts, so not compared: {check.selection}",
            style="dim",
        )
    # A selection says nothing about the parts it was taken from.
    if check.published and check.left_out:
        console.print("parts left out:", style="dim")
        for part, n in check.left_out.items():
            console.print(f"  {part}: {n}", style="dim")


def _name(
    console: Console, what: str, names: tuple[str, ...] | list[str], style: str = "red"
) -> None:
    if not names:
        return
    console.print(f"{what}: {len(names)}", style=style)
    for name in names[:_N_NAMED]:
        console.print(f"  {name}")
    if len(names) > _N_NAMED:
        console.print(f"  ... and {len(names) - _N_NAMED} more (--json names all)")
