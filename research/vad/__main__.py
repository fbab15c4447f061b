"""`python -m research.vad`: voice activity detection in long notes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from espressivo.cli.arguments import whole_number
from espressivo.cli.display.progress import counting_bar
from espressivo.cli.evaluate import make_folder
from espressivo.errors import CorpusError
from espressivo.model.classifier import read_card
from espressivo.model.find import find_model
from espressivo.training.corpora import CORPORA, read_corpus
from espressivo.version import __version__
from research.held_out import add_cases, require_held_out
from research.run import run
from research.vad.figure import plot_vad
from research.vad.long_notes import draw_clips
from research.vad.noises import read_noises
from research.vad.report import (
    GapSummary,
    VadCase,
    to_markdown,
    write_cases,
    write_csv,
)
from research.vad.study import bootstrap_scores, pool, predict_notes, to_results
from research.vad.windowing import PredictionCache, StrategyRunner

if TYPE_CHECKING:
    from espressivo.training.corpora import Utterance
    from research.vad.noises import Noise
    from research.vad.study import BootstrapScores, PredictedNotes


class _HeldOutCorpus(NamedTuple):
    """A model, and a corpus that it was not trained on."""

    folder: Path
    name: str
    utterances: list[Utterance]
    confirms: bool


_DESCRIPTION = """\
Does voice activity detection reduce the neutral bias in long notes? Clips of one
speaker and emotion are concatenated, with as much gap as speech between them: none,
digital silence, pink noise, or a recording of noise, in the gaps or throughout, at
several levels. The notes are predicted as a whole, in fixed windows, and in windows
within detected speech, both of the model's maximum length and of 3 s. Windows are
aggregated by mean, by means weighted with duration, with confidence (1 - normalised
entropy) or with both, and by vote. Intervals are 95 % bootstrap intervals over
speakers."""

_EPILOG = """\
examples:
  python -m research.vad --case runs/no-tess/model tess corpora/tess \\
    --case runs/no-nemo/model nemo corpora/nemo --noise noise --out report
  python -m research.vad --case runs/no-tess/model tess corpora/tess \\
    --confirm runs/full/int8 ravdess corpora/ravdess --noise noise --out report

Predictions are kept in the folder, so that the same command resumes an interrupted
study. A corpus with calm speech (RAVDESS) is studied with calm as neutral, and without
calm."""


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.vad",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ("MODEL", "CORPUS", "DIR")
    add_cases(parser, "; repeatable; several are also averaged")
    parser.add_argument(
        "--confirm",
        nargs=3,
        action="append",
        default=[],
        metavar=names,
        help="the same, but left out of the average, by which settings are chosen",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        required=True,
        metavar="DIR",
        help="recordings that hold no speech (.ogg, .wav, .flac, also in subfolders)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write vad.json, vad.csv, vad.md, vad.png and predictions.jsonl here",
    )
    parser.add_argument(
        "--notes",
        type=whole_number,
        default=24,
        metavar="N",
        help="notes of each emotion and corpus, as far as clips suffice, rounded up to "
        "the same for every speaker (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed (default: 0)"
    )
    return run(_study, parser.parse_args(argv))


def _study(args: argparse.Namespace) -> int:

    given = [(*case, False) for case in args.case] + [
        (*case, True) for case in args.confirm
    ]
    corpora: list[_HeldOutCorpus] = []
    for model, name, root, confirms in given:
        utterances = read_corpus(name, Path(root))
        folder = find_model(model)
        require_held_out(folder, {name, *(u.corpus for u in utterances)})
        corpora.append(_HeldOutCorpus(folder, name, utterances, confirms))
    noises = read_noises(args.noise)
    make_folder(args.out)
    cache = PredictionCache(args.out / "predictions.jsonl")
    try:
        cases, draws = _all_cases(corpora, noises, cache, args)
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
    corpora: list[_HeldOutCorpus],
    noises: list[Noise],
    cache: PredictionCache,
    args: argparse.Namespace,
) -> tuple[list[VadCase], list[BootstrapScores]]:
    """Study every corpus; return all cases, and the scores that are averaged."""
    cases: list[VadCase] = []
    averaged: list[BootstrapScores] = []
    for corpus in corpora:
        predicted = _predict(corpus, noises, cache, args)
        name = corpus.name
        title = CORPORA[name].title if name in CORPORA else name
        parts = {title: predicted}
        if any(spoken.calm for notes in predicted for spoken in notes.spoken):
            parts = {
                f"{title}, calm as neutral": predicted,
                f"{title}, without calm": [notes.without_calm() for notes in predicted],
            }
        for part, notes in parts.items():
            draws = bootstrap_scores(notes, name, args.seed)
            cases.append(_case(corpus, part, notes, draws))
            if not corpus.confirms:
                averaged.append(draws)
    return cases, averaged


def _predict(
    corpus: _HeldOutCorpus,
    noises: list[Noise],
    cache: PredictionCache,
    args: argparse.Namespace,
) -> list[PredictedNotes]:
    """Build the notes of a corpus, and predict them."""
    folder, name, utterances, _ = corpus
    spoken = list(draw_clips(utterances, n_notes=args.notes, seed=args.seed))
    with counting_bar(f"{folder} on {name}") as progress:
        predicted = predict_notes(
            StrategyRunner(folder),
            cache,
            spoken,
            noises,
            seed=args.seed,
            progress=progress,
        )
    if not all(notes.spoken for notes in predicted):
        raise CorpusError(
            f"{name}: gives no note in which speech is found; a note takes 6 s of "
            "clips of one speaker and emotion"
        )
    return predicted


def _case(
    corpus: _HeldOutCorpus,
    title: str,
    predicted: list[PredictedNotes],
    draws: BootstrapScores,
) -> VadCase:

    card = read_card(corpus.folder)
    trained: list[dict[str, Any]] = card.details.get("training_corpora", [])
    model = {
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "training_corpora": [entry["name"] for entry in trained],
    }
    return VadCase(
        title=title,
        models=(model,),
        n_speakers=len({s.speaker for notes in predicted for s in notes.spoken}),
        confirms=corpus.confirms,
        found=tuple(GapSummary.of(notes) for notes in predicted),
        cells=tuple(to_results(draws)),
    )


def _together(cases: list[VadCase], draws: list[BootstrapScores]) -> VadCase:
    """Return the mean over the corpora by which settings are chosen."""
    chosen = [case for case in cases if not case.confirms]
    return VadCase(
        title="Mean of " + ", ".join(case.title for case in chosen),
        models=tuple(model for case in chosen for model in case.models),
        n_speakers=sum(case.n_speakers for case in chosen),
        confirms=False,
        found=(),
        cells=tuple(to_results(pool(draws))),
    )


if __name__ == "__main__":
    sys.exit(main())
