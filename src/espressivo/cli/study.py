"""`espressivo study`: questions about models, answered on labelled corpora."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli import study_vad
from espressivo.cli.arguments import whole_number

if TYPE_CHECKING:
    from espressivo.training.profile_report import Case
    from espressivo.training.profile_study import Listened

_DESCRIPTION = """\
What is a speaker's profile worth? Speakers whom the model has never heard are given
histories of their own clips, drawn at random and unlabelled: balanced, natural (70 %
neutral), or one-sided (one or two emotions only). Each clip is then judged with the
profile of such a history of 0, 1, 2, 5, 10, 20 or all other clips, never with itself
in it (but for one row that says so), by the graphs that ship. Intervals are of 95 %,
by bootstrap over speakers; a number in brackets is how many clips there were where
there were fewer than asked for."""

_EPILOG = """\
examples:
  espressivo study profile --case runs/full/int8 ravdess corpora/ravdess --out report
  espressivo study profile --case runs/no-tess/model tess corpora/tess \\
    --case runs/no-nemo/model nemo corpora/nemo --out report

A corpus with calm speech (RAVDESS) is studied with calm as neutral, and without it."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "study",
        help="what profiles, and finding speech first, are worth",
        description="Questions about models.",
    )
    studies = parser.add_subparsers(metavar="STUDY", required=True)
    profile = studies.add_parser(
        "profile",
        help="what a speaker's profile is worth, by how much it heard and of what",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    profile.add_argument(
        "--case",
        nargs=3,
        action="append",
        required=True,
        metavar=("MODEL", "CORPUS", "DIR"),
        help="a model, and a corpus that it has not heard; repeatable",
    )
    profile.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write profiles.json, profiles.md and profiles.png into this folder",
    )
    profile.add_argument(
        "--pipeline",
        action="store_true",
        help="let the analyzer find speech first, as users get it, and leave out clips "
        "without (default: clips as they are, silent ends trimmed)",
    )
    profile.add_argument(
        "--draws",
        type=whole_number,
        default=10,
        metavar="N",
        help="histories drawn a speaker, kind and size (default: %(default)s)",
    )
    profile.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draws them (default: 0)"
    )
    profile.set_defaults(run=_profile)
    study_vad.add_parser(studies)


def _profile(args: argparse.Namespace) -> int:
    from espressivo.cli.evaluate import make_folder
    from espressivo.training.figures import plot_profiles
    from espressivo.training.profile_report import to_markdown, write_cases

    make_folder(args.out)
    cases: list[Case] = []
    for given in args.case:
        cases += _study(given, args)
        write_cases(cases, args.out / "profiles.json")
    text = to_markdown(cases)
    (args.out / "profiles.md").write_text(text, "utf-8")
    plot_profiles(cases, args.out / "profiles.png")
    print(text)
    return 0


def _study(given: tuple[str, str, str], args: argparse.Namespace) -> list[Case]:
    """Study one model on one corpus, with and without calm where there is any."""
    from espressivo.cli.display.progress import counting_bar
    from espressivo.model.find import find_model
    from espressivo.training.corpora import CORPORA, read_corpus
    from espressivo.training.profile_study import listen
    from espressivo.training.unheard import require_unheard

    model, corpus, root = given
    folder = find_model(model)
    require_unheard(folder, [corpus])
    utterances = read_corpus(corpus, Path(root))
    with counting_bar(f"{model} on {corpus}") as progress:
        listened = listen(folder, utterances, progress, pipeline=args.pipeline)
    title = CORPORA[corpus].title if corpus in CORPORA else corpus
    if not listened.calm.any():
        return [_case(folder, title, listened, args)]
    without = listened.kept(~listened.calm)
    return [
        _case(folder, f"{title}, calm as neutral", listened, args),
        _case(folder, f"{title}, without calm", without, args),
    ]


def _case(
    folder: Path, title: str, listened: Listened, args: argparse.Namespace
) -> Case:
    from espressivo.cli.display.progress import counting_bar
    from espressivo.model.classifier import load_classifier
    from espressivo.training.profile_report import Case
    from espressivo.training.profile_study import study, suspect

    classifier = load_classifier(folder)
    head = classifier.require_profile_head()
    with counting_bar(title) as progress:
        cells = study(
            listened,
            head.predict,
            n_draws=args.draws,
            seed=args.seed,
            progress=progress,
        )
        suspicions = suspect(
            listened,
            head.distances,
            head.card.distance_limit,
            n_draws=args.draws,
            seed=args.seed,
        )
    card = classifier.card
    return Case(
        title=title,
        model={"name": card.name, "version": card.version, "sha256": card.sha256},
        n_clips=len(listened.labels),
        n_speakers=len(set(listened.speakers)),
        n_draws=args.draws,
        cells=tuple(cells),
        suspicions=suspicions,
    )
