"""`espressivo evaluate`: how good a model is on labelled recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from espressivo.training.scores.bootstrap import PairedDifference
    from espressivo.training.scores.evaluation import Evaluation

_DESCRIPTION = """\
Classify every utterance of a corpus and say how often the model is right: weighted
accuracy (WA, the share of utterances), unweighted accuracy (UA, the mean of the four
recalls), F1, and how far its probabilities are from the truth (expected calibration
error, ECE). Intervals are 95 %, by resampling whole speakers. Each recording is taken
as a clip: its silent ends are trimmed, and what is longer than the model's window is
cut into equal ones. With --pipeline, recordings go the way of `espressivo analyze`.

RAVDESS has calm beside neutral. Both count as neutral (864 utterances), and the
scores without calm (672) stand beside."""

_EPILOG = """\
examples:
  espressivo evaluate espressivo-tiny ravdess ~/corpora/ravdess
  espressivo evaluate runs/mine/model emodb ~/corpora/emodb --out results/emodb
  espressivo evaluate espressivo-tiny manifest calls.csv --pipeline --json

exit codes:
  0 done, 1 the model or the corpus is at fault, 3 some recordings could not be read
  (each is listed on stderr, and not scored)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "evaluate",
        help="how good a model is on labelled recordings",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a bundled name, or a folder")
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="as `espressivo corpora list` has them, or manifest",
    )
    parser.add_argument(
        "root", type=Path, metavar="DIR", help="the corpus; the table for a manifest"
    )
    parser.add_argument(
        "--without-calm",
        action="store_true",
        help="leave utterances labelled calm out (default: they count as neutral)",
    )
    parser.add_argument(
        "--pipeline",
        action="store_true",
        help="find speech and windows first, as analyze does (default: trimmed clips)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write predictions.parquet (probabilities of every utterance) and "
        "scores.json into this folder",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the confusion matrix (.png, .svg or .pdf)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="also compare with what an earlier --out wrote: difference, interval, p",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, and exit 3 when a recording could not be read."""
    from espressivo.cli.display.progress import counting_bar
    from espressivo.model.find import find_model
    from espressivo.training.corpora import read_corpus
    from espressivo.training.evaluate import evaluate

    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
    if args.out is not None:
        make_folder(args.out)
    folder = find_model(args.model)
    utterances = read_corpus(args.corpus, args.root)
    if args.without_calm:
        utterances = [u for u in utterances if u.original != "calm"]
    with counting_bar(f"{args.model} on {args.corpus}") as progress:
        evaluation = evaluate(
            folder, utterances, pipeline=args.pipeline, progress=progress
        )
    for failure in evaluation.failures:
        print(failure.reason, file=sys.stderr)
    differences = evaluation.compare(args.against) if args.against else {}
    _report(evaluation, differences, args)
    if evaluation.failures:
        print(
            f"{len(evaluation.failures)} of {len(utterances)} recordings could not be "
            "read; they are not scored",
            file=sys.stderr,
        )
        return 3
    return 0


def make_folder(folder: Path) -> None:
    """Make sure, before the work, that its results can be written."""
    from espressivo.errors import EspressivoError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EspressivoError(
            f"{folder}: cannot be made a folder ({error.strerror}); name another --out"
        ) from error


def _report(
    evaluation: Evaluation,
    differences: dict[str, PairedDifference],
    args: argparse.Namespace,
) -> None:
    _ = evaluation.scores  # nothing to score is an error before anything is printed
    if args.out is not None:
        evaluation.write(args.out)
    if args.plot is not None:
        from espressivo.training.figures import plot_confusion

        title = f"{evaluation.model} on {args.corpus}, UA {evaluation.scores.ua:.1%}"
        plot_confusion(evaluation.confusion, args.plot, title)
    if args.json:
        import json
        from dataclasses import asdict

        against = {name: asdict(value) for name, value in differences.items()}
        whole = evaluation.to_dict() | ({"against": against} if against else {})
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    _print(console, args.corpus, evaluation)
    if differences:
        _print_differences(console, args.against, differences)


def _print(console: Console, corpus: str, whole: Evaluation) -> None:
    columns = [("all", whole)]
    if (without := whole.without_calm) is not None:
        columns = [("calm as neutral", whole), ("without calm", without)]
    title = f"{whole.model} {whole.model_version} on {corpus} ({whole.protocol})"
    console.print(title, style="bold")
    _print_scores(console, columns)
    _print_confusion(console, whole)
    if whole.without_speech:
        console.print(
            f"no speech found, not scored: {len(whole.without_speech)} of "
            f"{len(whole.without_speech) + len(whole.utterances)}: "
            + ", ".join(u.id for u in whole.without_speech[:10])
            + (", ..." if len(whole.without_speech) > 10 else "")
        )


_ROWS = (
    ("WA", "wa"),
    ("UA", "ua"),
    ("macro F1", "macro_f1"),
    ("ECE", "ece"),
    ("Brier", "brier"),
    ("log loss", "log_loss"),
)


def _print_scores(console: Console, columns: Sequence[tuple[str, Evaluation]]) -> None:
    from rich.table import Table

    from espressivo.types import Emotion

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name, _ in columns:
        table.add_column(name, justify="right", style="cyan")
        table.add_column("95 %", justify="right", style="dim")
    counts = [(len(e.utterances), len(set(e.speakers))) for _, e in columns]
    table.add_row("utterances", *(cell for n, _ in counts for cell in (str(n), "")))
    table.add_row("speakers", *(cell for _, n in counts for cell in (str(n), "")))
    for label, name in _ROWS:
        row = [label]
        for _, e in columns:
            interval = e.intervals.get(name)
            row.append(f"{getattr(e.scores, name):.3f}")
            row.append(f"{interval.low:.3f}..{interval.high:.3f}" if interval else "")
        table.add_row(*row)
    for i, emotion in enumerate(Emotion):
        row = [f"{emotion}: recall, F1"]
        for _, e in columns:
            row += [f"{e.scores.recall[i]:.3f}, {e.scores.f1[i]:.3f}", ""]
        table.add_row(*row)
    console.print(table)


def _print_confusion(console: Console, evaluation: Evaluation) -> None:
    from rich.table import Table

    from espressivo.types import Emotion

    confusion = evaluation.confusion
    table = Table(box=None, pad_edge=False)
    table.add_column("actual \\ predicted")
    for emotion in Emotion:
        table.add_column(str(emotion), justify="right")
    for emotion, counts in zip(Emotion, confusion.tolist(), strict=True):
        total = max(1, sum(counts))
        cells = [f"{n} ({n / total:.0%})" for n in counts]
        table.add_row(str(emotion), *cells)
    console.print()
    console.print(table)


def _print_differences(
    console: Console, against: Path, differences: dict[str, PairedDifference]
) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(f"less {against}")
    for heading in ("difference", "95 %", "p"):
        table.add_column(heading, justify="right")
    for label, name in _ROWS:
        found = differences[name]
        interval = f"{found.interval.low:+.3f}..{found.interval.high:+.3f}"
        table.add_row(label, f"{found.difference:+.3f}", interval, f"{found.p:.4f}")
    console.print()
    console.print(table)
