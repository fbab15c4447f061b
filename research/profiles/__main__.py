"""`python -m research.profiles`: accuracy of speaker profiles by enrolment history."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from espressivo.cli.arguments import whole_number
from espressivo.cli.display.progress import counting_bar
from espressivo.cli.evaluate import make_folder
from espressivo.model.classifier import load_classifier
from espressivo.model.find import find_model
from espressivo.training.corpora import CORPORA, read_corpus
from research.held_out import require_held_out
from research.profiles.figure import plot_profiles
from research.profiles.report import ProfileCase, to_markdown, write_cases
from research.profiles.study import (
    ClipPredictions,
    mismatch_rates,
    predict_clips,
    score_histories,
)
from research.run import run

_DESCRIPTION = """\
How does a speaker profile change accuracy? Speakers who are in no training corpus are
given histories of their own clips, drawn at random and unlabelled: balanced, natural
(70 % neutral), or one-sided (one or two emotions only). Each clip is then scored with
the profile of such a history of 0, 1, 2, 5, 10, 20 or all other clips, by the exported
graphs. The clip is never in its own history, except in one row that says so. Intervals
are 95 % bootstrap intervals over speakers; a number in brackets is how many clips there
were where there were fewer than asked for."""

_EPILOG = """\
examples:
  python -m research.profiles --case runs/full/int8 ravdess corpora/ravdess --out report
  python -m research.profiles --case runs/no-tess/model tess corpora/tess \\
    --case runs/no-nemo/model nemo corpora/nemo --out report

A corpus with calm speech (RAVDESS) is studied with calm as neutral, and without
calm."""


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.profiles",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--case",
        nargs=3,
        action="append",
        required=True,
        metavar=("MODEL", "CORPUS", "DIR"),
        help="a model, and a corpus that it was not trained on; repeatable",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write profiles.json, profiles.md and profiles.png into this folder",
    )
    parser.add_argument(
        "--pipeline",
        action="store_true",
        help="let the analyzer detect speech first, as users get it, and leave out "
        "clips without (default: clips as they are, silent ends trimmed)",
    )
    parser.add_argument(
        "--draws",
        type=whole_number,
        default=10,
        metavar="N",
        help="histories drawn per speaker, kind and size (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed (default: 0)"
    )
    return run(_study_all, parser.parse_args(argv))


def _study_all(args: argparse.Namespace) -> int:

    make_folder(args.out)
    cases: list[ProfileCase] = []
    for given in args.case:
        cases += _study(given, args)
        write_cases(cases, args.out / "profiles.json")
    text = to_markdown(cases)
    (args.out / "profiles.md").write_text(text, "utf-8")
    plot_profiles(cases, args.out / "profiles.png")
    print(text)
    return 0


def _study(given: tuple[str, str, str], args: argparse.Namespace) -> list[ProfileCase]:
    """Study one model on one corpus, with and without calm where there is any."""
    model, corpus, root = given
    folder = find_model(model)
    require_held_out(folder, [corpus])
    utterances = read_corpus(corpus, Path(root))
    with counting_bar(f"{model} on {corpus}") as progress:
        clips = predict_clips(folder, utterances, progress, pipeline=args.pipeline)
    title = CORPORA[corpus].title if corpus in CORPORA else corpus
    if not clips.calm.any():
        return [_case(folder, title, clips, args)]
    without = clips.select(~clips.calm)
    return [
        _case(folder, f"{title}, calm as neutral", clips, args),
        _case(folder, f"{title}, without calm", without, args),
    ]


def _case(
    folder: Path, title: str, clips: ClipPredictions, args: argparse.Namespace
) -> ProfileCase:

    classifier = load_classifier(folder)
    head = classifier.require_profile_head()
    with counting_bar(title) as progress:
        cells = score_histories(
            clips,
            head.predict,
            n_draws=args.draws,
            seed=args.seed,
            progress=progress,
        )
        mismatches = mismatch_rates(
            clips,
            head.distances,
            head.card.distance_limit,
            n_draws=args.draws,
            seed=args.seed,
        )
    card = classifier.card
    return ProfileCase(
        title=title,
        model={"name": card.name, "version": card.version, "sha256": card.sha256},
        n_clips=len(clips.labels),
        n_speakers=len(set(clips.speakers)),
        n_draws=args.draws,
        cells=tuple(cells),
        mismatches=mismatches,
    )


if __name__ == "__main__":
    sys.exit(main())
