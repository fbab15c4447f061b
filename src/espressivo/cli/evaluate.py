"""`espressivo evaluate`: scores of a model on labelled recordings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.printing import print_json, tell

if TYPE_CHECKING:
    from espressivo.training.scores.bootstrap import PairedDifference
    from espressivo.training.scores.evaluation import Evaluation

_DESCRIPTION = """\
Score a model on every utterance of a corpus: weighted accuracy (WA, the share of
correct utterances), unweighted accuracy (UA, the mean of the four recalls), F1, and
expected calibration error (ECE). Intervals are 95 %, by a bootstrap over speakers.
Each recording is a clip: its silent ends are trimmed, and if it is longer than the
model's window, it is cut into equal windows. With --pipeline, recordings are processed
as by `espressivo analyze`.

RAVDESS has both calm and neutral. Both count as neutral (864 utterances), and scores
without calm (672) are shown too."""

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
        action="append_const",
        const="calm",
        default=[],
        dest="left_out",
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
    """Evaluate and print the scores; return 3 if a recording could not be read."""
    from espressivo.cli.display.progress import counting_bar
    from espressivo.model.find import find_model
    from espressivo.training.corpora import read_corpus
    from espressivo.training.evaluate import evaluate

    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
    # Faults of the output paths are reported before the evaluation.
    if args.out is not None:
        make_folder(args.out)
    folder = find_model(args.model)
    utterances = read_corpus(args.corpus, args.root)
    utterances = [u for u in utterances if u.original not in args.left_out]
    with counting_bar(f"{args.model} on {args.corpus}") as progress:
        evaluation = evaluate(
            folder, utterances, pipeline=args.pipeline, progress=progress
        )
    for failure in evaluation.failures:
        tell(failure.reason)
    # Before anything is written: a result that cannot be compared stops here.
    differences = evaluation.compare(args.against) if args.against else {}
    _report(evaluation, differences, args)
    if evaluation.failures:
        tell(
            f"{len(evaluation.failures)} of {len(utterances)} recordings could not be "
            "read; they are not scored"
        )
        return 3
    return 0


def make_folder(folder: Path) -> None:
    """Create the results folder before the work, whose results could be lost else."""
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
    _ = evaluation.scores  # raises before anything is printed if nothing is scored
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
        print_json(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.scores import print_differences, print_evaluation

    console = PlainConsole()
    print_evaluation(console, args.corpus, evaluation)
    if differences:
        print_differences(console, args.against, differences)
