"""`espressivo study vad`: what finding speech first is worth in long notes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from espressivo.cli.arguments import whole_number

if TYPE_CHECKING:
    from espressivo.training.corpora import Utterance
    from espressivo.training.noises import Noise
    from espressivo.training.vad_report import Case
    from espressivo.training.vad_study import Draws, HeardNotes
    from espressivo.training.vad_ways import Answers


class _Unheard(NamedTuple):
    """A model, and a corpus that it has not heard."""

    folder: Path
    name: str
    utterances: list[Utterance]
    confirms: bool


_DESCRIPTION = """\
Does finding speech first cut the neutral bias in long notes? Clips of one speaker and
emotion are strung together, with as much gap as speech between them: none, digital
silence, pink noise, or a recording of noise, in the gaps or throughout, at several
levels. The notes are heard as a whole, in fixed windows, and in windows within the
speech that is found, both the model's longest and of 3 s; windows are put together by
mean, by mean weighted with duration, with confidence (1 less the entropy over its
largest) or with both, and by vote. Intervals are of 95 %, over speakers."""

_EPILOG = """\
examples:
  espressivo study vad --case runs/no-tess/model tess corpora/tess \\
    --case runs/no-nemo/model nemo corpora/nemo --noise noise --out report
  espressivo study vad --case runs/no-tess/model tess corpora/tess \\
    --confirm runs/full/int8 ravdess corpora/ravdess --noise noise --out report

What was heard is kept in the folder, so that the same command goes on where it was
interrupted. A corpus with calm speech (RAVDESS) is studied with calm as neutral, and
without it."""


def add_parser(studies: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the study to `espressivo study`."""
    vad = studies.add_parser(
        "vad",
        help="what finding speech first is worth in long notes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ("MODEL", "CORPUS", "DIR")
    vad.add_argument(
        "--case",
        nargs=3,
        action="append",
        required=True,
        metavar=names,
        help="a model, and a corpus that it has not heard; repeatable; several are "
        "also averaged",
    )
    vad.add_argument(
        "--confirm",
        nargs=3,
        action="append",
        default=[],
        metavar=names,
        help="the same, but left out of the average, by which one chooses",
    )
    vad.add_argument(
        "--noise",
        type=Path,
        required=True,
        metavar="DIR",
        help="recordings that hold no speech (.ogg, .wav, .flac, also in subfolders)",
    )
    vad.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write vad.json, vad.csv, vad.md, vad.png and answers.jsonl here",
    )
    vad.add_argument(
        "--notes",
        type=whole_number,
        default=24,
        metavar="N",
        help="notes of each emotion and corpus, as far as clips suffice, rounded up to "
        "the same for every speaker (default: %(default)s)",
    )
    vad.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draws all (default: 0)"
    )
    vad.set_defaults(run=_vad)


def _vad(args: argparse.Namespace) -> int:
    from espressivo.cli.evaluate import make_folder
    from espressivo.model.find import find_model
    from espressivo.training.corpora import read_corpus
    from espressivo.training.figures import plot_vad
    from espressivo.training.noises import read_noises
    from espressivo.training.unheard import require_unheard
    from espressivo.training.vad_report import to_markdown, write_cases, write_csv
    from espressivo.training.vad_ways import Answers
    from espressivo.version import __version__

    given = [(*case, False) for case in args.case] + [
        (*case, True) for case in args.confirm
    ]
    corpora: list[_Unheard] = []
    for model, name, root, confirms in given:
        utterances = read_corpus(name, Path(root))
        folder = find_model(model)
        require_unheard(folder, {name, *(u.corpus for u in utterances)})
        corpora.append(_Unheard(folder, name, utterances, confirms))
    noises = read_noises(args.noise)
    make_folder(args.out)
    answers = Answers(args.out / "answers.jsonl")
    try:
        cases, draws = _all_cases(corpora, noises, answers, args)
    except KeyboardInterrupt:
        print(
            f"interrupted; the same command goes on where it stopped, by {args.out}",
            file=sys.stderr,
        )
        return 130
    shown = cases
    if len(draws) > 1:
        cases = [_together(cases, draws), *cases]
        shown = [cases[0], *(case for case in cases if case.confirms)]
    details = {"espressivo": __version__, "notes": args.notes, "seed": args.seed}
    write_cases(cases, details, args.out / "vad.json")
    write_csv(cases, args.out / "vad.csv")
    text = to_markdown(cases)
    (args.out / "vad.md").write_text(text, "utf-8")
    plot_vad(shown, args.out / "vad.png")
    print(text)
    return 0


def _all_cases(
    corpora: list[_Unheard],
    noises: list[Noise],
    answers: Answers,
    args: argparse.Namespace,
) -> tuple[list[Case], list[Draws]]:
    """Study every corpus; return all cases, and the scores that are averaged."""
    from espressivo.training.corpora import CORPORA
    from espressivo.training.vad_study import draw_scores

    cases: list[Case] = []
    averaged: list[Draws] = []
    for corpus in corpora:
        heard = _hear(corpus, noises, answers, args)
        name = corpus.name
        title = CORPORA[name].title if name in CORPORA else name
        parts = {title: heard}
        if any(spoken.calm for notes in heard for spoken in notes.spoken):
            parts = {
                f"{title}, calm as neutral": heard,
                f"{title}, without calm": [notes.without_calm() for notes in heard],
            }
        for part, notes in parts.items():
            draws = draw_scores(notes, name, args.seed)
            cases.append(_case(corpus, part, notes, draws))
            if not corpus.confirms:
                averaged.append(draws)
    return cases, averaged


def _hear(
    corpus: _Unheard,
    noises: list[Noise],
    answers: Answers,
    args: argparse.Namespace,
) -> list[HeardNotes]:
    """Make a corpus's notes, and hear them."""
    from espressivo.cli.display.progress import counting_bar
    from espressivo.errors import CorpusError
    from espressivo.training.long_notes import read_spoken
    from espressivo.training.vad_study import hear_notes
    from espressivo.training.vad_ways import Ears

    folder, name, utterances, _ = corpus
    spoken = list(read_spoken(utterances, n_notes=args.notes, seed=args.seed))
    with counting_bar(f"{folder} on {name}") as progress:
        heard = hear_notes(
            Ears(folder), answers, spoken, noises, seed=args.seed, progress=progress
        )
    if not all(notes.spoken for notes in heard):
        raise CorpusError(
            f"{name}: gives no note in which speech is found; a note takes 6 s of "
            "clips of one speaker and emotion"
        )
    return heard


def _case(corpus: _Unheard, title: str, heard: list[HeardNotes], draws: Draws) -> Case:
    from espressivo.model.classifier import read_card
    from espressivo.training.vad_report import Case, Found
    from espressivo.training.vad_study import to_cells

    card = read_card(corpus.folder)
    trained: list[dict[str, Any]] = card.details.get("training_corpora", [])
    model = {
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "training_corpora": [entry["name"] for entry in trained],
    }
    return Case(
        title=title,
        models=(model,),
        n_speakers=len({s.speaker for notes in heard for s in notes.spoken}),
        confirms=corpus.confirms,
        found=tuple(Found.of(notes) for notes in heard),
        cells=tuple(to_cells(draws)),
    )


def _together(cases: list[Case], draws: list[Draws]) -> Case:
    """Average the cases by which one chooses."""
    from espressivo.training.vad_report import Case
    from espressivo.training.vad_study import pool, to_cells

    chosen = [case for case in cases if not case.confirms]
    return Case(
        title="Mean of " + ", ".join(case.title for case in chosen),
        models=tuple(model for case in chosen for model in case.models),
        n_speakers=sum(case.n_speakers for case in chosen),
        confirms=False,
        found=(),
        cells=tuple(to_cells(pool(draws))),
    )
