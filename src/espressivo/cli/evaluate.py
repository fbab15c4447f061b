"""`espressivo evaluate`: scores of a model on labelled recordings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.arguments import add_named_folders
from espressivo.cli.display.printing import print_json, tell

if TYPE_CHECKING:
    from espressivo.training.corpora.utterance import SpeakerHalf, Utterance
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
without calm (672) are shown too. Of a corpus with one emotion, such as librispeech, UA
is the share of utterances given that emotion. If the model was trained on the corpus,
a note says so: its scores then say nothing about new speakers.

With --conditions, the recordings are also put through a telephone (300-3400 Hz,
mu-law), GSM, AMR, Opus and MP3, a room, noise and babble, clipping and a low level. The
result is a table of conditions with the change of UA from the clean recordings and its
interval, paired over speakers; several corpora (--corpus) give a matrix.

If the model gives dimensions (arousal, valence, dominance) and the corpus has ratings
of them, CCC (concordance correlation, 1 is perfect agreement), RMSE (of 0 to 1) and
Pearson's correlation are shown for each, with intervals by the same bootstrap."""

_EPILOG = """\
examples:
  espressivo evaluate espressivo-tiny manifest calls.csv --pipeline --json
  espressivo evaluate runs/mine/model emodb ~/corpora/emodb --out results/emodb
  espressivo evaluate espressivo-tiny emodb ~/corpora/emodb --conditions telephone,room
  espressivo evaluate espressivo-tiny --corpus emodb=~/corpora/emodb \\
      --corpus librispeech=~/LibriSpeech --speakers librispeech=odd \\
      --conditions --out results/conditions

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
        "named",
        metavar="CORPUS",
        nargs="?",
        help="as `espressivo corpora list` has them, or manifest",
    )
    parser.add_argument(
        "root",
        type=Path,
        metavar="DIR",
        nargs="?",
        help="the corpus; the table for a manifest",
    )
    add_named_folders(parser, "--corpus", "a corpus, in place of CORPUS DIR")
    parser.add_argument(
        "--speakers",
        type=_halves,
        action="append",
        default=[],
        metavar="[NAME=]HALF",
        help="half of the speakers, sorted by name: even, odd or all; of the corpus "
        "NAME, or of every corpus (default: all); repeatable",
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
    parser.add_argument(
        "--conditions",
        nargs="?",
        type=_conditions,
        const=(),
        metavar="LIST",
        help="also in other conditions: names separated by commas, or all if none is "
        "given (then after CORPUS DIR): telephone, gsm, amr, opus-12k, opus-6k, "
        "mp3-32k, room, noise-20, noise-10, noise-5, noise-0 (dB SNR), babble-10, "
        "clipping, quiet",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        metavar="DIR",
        help="recordings of noise for --conditions; every second one, by name, is "
        "used, and the others are for training (default: $ESPRESSIVO_DATA/noise)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not tables")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="also write predictions.parquet (a row per utterance) and "
        "scores.json into this folder; with --conditions, into CORPUS/CONDITION of it, "
        "and conditions.json. What it holds of an interrupted run is not done again",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the confusion matrix, or the matrix of conditions (.png, .svg "
        "or .pdf)",
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
    from espressivo.model.find import find_model

    if args.plot is not None:
        from espressivo.figures.timeline import require_format

        require_format(args.plot)
    roots = _roots(args)
    # Faults of the output paths are reported before the evaluation.
    if args.out is not None:
        make_folder(args.out)
    folder = find_model(args.model)
    corpora = _read(roots, args)
    if args.conditions is None:
        ((corpus, utterances),) = corpora.items()
        return _evaluate(folder, corpus, utterances, args)
    return _evaluate_conditions(folder, corpora, args)


def _halves(text: str) -> tuple[str, SpeakerHalf]:
    """Return corpus and half of `[NAME=]HALF`; the corpus is empty for all."""
    name, _, half = text.rpartition("=")
    for known in ("all", "even", "odd"):
        if half == known:
            return name, known
    raise argparse.ArgumentTypeError(
        f"{text!r} is not even, odd or all, or one of a corpus, as librispeech=odd"
    )


def _conditions(text: str) -> tuple[str, ...]:
    """Return the names of conditions, separated by commas."""
    from espressivo.training.clips.conditions import EVALUATED  # slow

    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in EVALUATED:
            raise argparse.ArgumentTypeError(
                f"there is no condition {name!r}; pass some of {', '.join(EVALUATED)}, "
                "or --conditions alone at the end for all"
            )
    return names


def _roots(args: argparse.Namespace) -> dict[str, Path]:
    """Return the folder of each corpus, of whichever arguments name it."""
    from espressivo.errors import CorpusError

    roots: dict[str, Path] = dict(args.corpus)
    if len(roots) < len(args.corpus):
        raise CorpusError(
            "--corpus names a corpus twice; several tables of your own can be one, "
            "with a column corpus"
        )
    if args.named is not None:
        if args.root is None:
            raise CorpusError(f"where is {args.named}? Pass CORPUS DIR")
        roots = {args.named: args.root} | roots
    if not roots:
        raise CorpusError("which corpus? Pass CORPUS DIR, or --corpus NAME=DIR")
    if len(roots) > 1 and args.conditions is None:
        raise CorpusError(
            "several corpora are for --conditions; evaluate them one by one, or add "
            "--conditions clean"
        )
    if args.against is not None and args.conditions is not None:
        raise CorpusError(
            "--against compares two evaluations in one condition; leave --conditions "
            "out, or compare folders of two --out later"
        )
    for name, _ in args.speakers:
        if name and name not in roots:
            raise CorpusError(f"--speakers: {name} is not one of {', '.join(roots)}")
    return roots


def _read(
    roots: dict[str, Path], args: argparse.Namespace
) -> dict[str, list[Utterance]]:
    from espressivo.training.corpora import read_corpora

    halves: dict[str, SpeakerHalf] = dict(args.speakers)
    rest = halves.get("", "all")
    return {
        name: [
            utterance
            for utterance in read_corpora({name: root}, {name: halves.get(name, rest)})
            if utterance.original not in args.left_out
        ]
        for name, root in roots.items()
    }


def _evaluate(
    folder: Path, corpus: str, utterances: list[Utterance], args: argparse.Namespace
) -> int:
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.evaluate import evaluate

    with counting_bar(f"{args.model} on {corpus}") as progress:
        evaluation = evaluate(
            folder, utterances, pipeline=args.pipeline, progress=progress
        )
    for failure in evaluation.failures:
        tell(failure.reason)
    # Before anything is written: a result that cannot be compared stops here.
    differences = evaluation.compare(args.against) if args.against else {}
    _report(evaluation, corpus, differences, args)
    return _exit_code(len(evaluation.failures), len(utterances))


def _evaluate_conditions(
    folder: Path, corpora: dict[str, list[Utterance]], args: argparse.Namespace
) -> int:
    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.progress import counting_bar
    from espressivo.cli.display.scores import print_conditions
    from espressivo.training.clips.conditions import EVALUATED
    from espressivo.training.evaluate import ConditionOptions, evaluate_conditions

    data = os.environ.get("ESPRESSIVO_DATA")
    options = ConditionOptions(
        conditions=args.conditions or EVALUATED,
        pipeline=args.pipeline,
        noise_folder=args.noise or (Path(data) / "noise" if data else Path("noise")),
        out=args.out,
        watch=lambda corpus, name: counting_bar(f"{args.model} on {corpus}: {name}"),
    )
    matrix = evaluate_conditions(folder, corpora, options)
    failures = [f for c in matrix.corpora for f in matrix.clean(c).failures]
    for failure in failures:
        tell(failure.reason)
    if args.plot is not None:
        from espressivo.training.figures import plot_conditions

        plot_conditions(matrix, args.plot)
    if args.json:
        print_json(matrix.to_json())
    else:
        print_conditions(PlainConsole(), matrix)
    return _exit_code(len(failures), sum(map(len, corpora.values())))


def _exit_code(n_failures: int, n_utterances: int) -> int:
    if n_failures:
        tell(
            f"{n_failures} of {n_utterances} recordings could not be read; they are "
            "not scored"
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
    corpus: str,
    differences: dict[str, PairedDifference],
    args: argparse.Namespace,
) -> None:
    _ = evaluation.scores  # raises before anything is printed if nothing is scored
    if args.out is not None:
        evaluation.write(args.out)
    if args.plot is not None:
        from espressivo.training.figures import plot_confusion

        title = f"{evaluation.model} on {corpus}, UA {evaluation.scores.ua:.1%}"
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
    print_evaluation(console, corpus, evaluation)
    if differences:
        print_differences(console, args.against, differences)
