"""`python -m research.intensity`: strong against normal, unscripted against acted."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.progress import counting_bar
from espressivo.cli.evaluate import make_folder
from espressivo.errors import CorpusError
from espressivo.model.classifier import read_card
from espressivo.model.find import find_model
from espressivo.training.corpora import find_corpus, read_corpus
from espressivo.training.evaluate import ConditionOptions, evaluate_conditions
from research.held_out import add_cases, require_held_out
from research.intensity import movement
from research.intensity.checks import check_table
from research.intensity.figure import plot_planes, plot_spread
from research.intensity.oracle import oracle_table
from research.intensity.space import fit_space, without_calm
from research.intensity.unscripted import class_means, gain, gap_table, spread_table
from research.run import run
from research.tables import Table, write_csv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.scores.evaluation import Evaluation

_DESCRIPTION = """\
Does a model judge strongly acted speech otherwise than speech as people talk, and along
which axis? Every corpus is judged by a model that never met it. RAVDESS is compared
between strong and normal intensity, an unscripted corpus with the acted ones, in the
space of the log-odds between the emotions, with axes of arousal and valence that the
other corpora define. Intervals are 95 % bootstrap intervals over speakers."""

_EPILOG = """\
example:
  S=$ESPRESSIVO_DATA/corpora; R=runs/base  # R/X/model was trained without X
  python -m research.intensity --case $R/ravdess/model ravdess $S/ravdess \\
    --case $R/urdu/model urdu $S/urdu --case $R/emodb/model emodb $S/emodb --out report

Predictions are kept in OUT/scores, as `espressivo evaluate --conditions clean --out`
writes them, so that the same command resumes an interrupted study."""


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.intensity",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cases(parser, "; at least RAVDESS, the unscripted corpus and two acted ones")
    parser.add_argument(
        "--unscripted",
        default="urdu",
        metavar="CORPUS",
        help="the corpus of unscripted speech (default: %(default)s)",
    )
    parser.add_argument(
        "--same-model",
        action="store_true",
        help="also let the model of RAVDESS judge the other corpora, which trained it, "
        "and define the axes by that, as a check (slow)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write intensity.md, intensity.png, corpora.png, tables.csv, cases.csv "
        "and scores/ here",
    )
    return run(_study, parser.parse_args(argv))


def _study(args: argparse.Namespace) -> int:
    corpora = {name: read_corpus(name, Path(root)) for _, name, root in args.case}
    folders = {name: find_model(model) for model, name, _ in args.case}
    for name, folder in folders.items():
        require_held_out(folder, {name, *(u.corpus for u in corpora[name])})
    if absent := [n for n in (movement.CORPUS, args.unscripted) if n not in corpora]:
        raise CorpusError(f"no --case is of {absent[0]}, which the study is about")
    if len(corpora) < 4:
        raise CorpusError(
            f"{len(corpora)} corpora are too few to compare one with the mean of the "
            "others; pass a --case for at least two more acted corpora"
        )
    make_folder(args.out)
    evaluations = {
        name: _evaluate(folders[name], name, corpora[name], args.out / "scores")
        for name in corpora
    }
    through = {
        name: _evaluate(
            folders[movement.CORPUS],
            name,
            corpora[name],
            args.out / f"scores-{movement.CORPUS}-model",
        )
        for name in (corpora if args.same_model else [])
        if name != movement.CORPUS
    }
    tables = _tables(evaluations, through, args.unscripted, args.out)
    write_csv(tables, args.out / "tables.csv")
    _write_cases(evaluations, folders, args.out / "cases.csv")
    text = "\n".join(table.to_markdown() for table in tables)
    (args.out / "intensity.md").write_text(text, "utf-8")
    print(text)
    return 0


def _evaluate(
    folder: Path, name: str, utterances: list[Utterance], out: Path
) -> Evaluation:
    options = ConditionOptions(
        (), out=out, watch=lambda corpus, _: counting_bar(f"{folder} on {corpus}")
    )
    return evaluate_conditions(folder, {name: utterances}, options).clean(name)


def _tables(
    evaluations: Mapping[str, Evaluation],
    through: Mapping[str, Evaluation],
    unscripted: str,
    out: Path,
) -> list[Table]:
    """Return all tables, and draw both figures into a folder."""
    spaces = {
        name: fit_space([e for other, e in evaluations.items() if other != name])
        for name in evaluations
    }
    ravdess = movement.paired(evaluations[movement.CORPUS])
    space = spaces[movement.CORPUS]
    moved = movement.movements(ravdess, space)
    others = {n: e for n, e in evaluations.items() if n != movement.CORPUS}
    titles = {name: find_corpus(name).title for name in evaluations}
    # The same parts in the table of spread and in that of oracles.
    levels = {
        f"{titles[movement.CORPUS]}, {level}": movement.at_intensity(ravdess, level)
        for level in ("normal", "strong")
    }
    parts = levels | {titles[n]: without_calm(e) for n, e in evaluations.items()}
    space_of = dict.fromkeys(levels, space) | {titles[n]: spaces[n] for n in spaces}
    means = {t: class_means(part, space_of[t]) for t, part in parts.items()}
    plot_planes(ravdess, evaluations, unscripted, spaces, out / "intensity.png")
    plot_spread(means, space_of, out / "corpora.png")
    normal, strong = levels
    contracted = float(
        gain(means[normal][0], space.means) / gain(means[strong][0], space.means)
    )
    back = {str(emotion): -moved[emotion] for emotion in movement.MOVED}
    return [
        movement.movement_table(moved),
        movement.share_table(moved, space),
        movement.log_odds_table(ravdess),
        movement.recall_table(ravdess),
        movement.prediction_table(ravdess),
        gap_table(unscripted, evaluations, spaces, back),
        spread_table(parts, means, space_of),
        oracle_table(parts, space_of, {normal: contracted}, [*titles.values()]),
        check_table(ravdess, others, through),
    ]


def _write_cases(
    evaluations: Mapping[str, Evaluation], folders: Mapping[str, Path], path: Path
) -> None:
    """Write which model judged which clips."""
    rows = [["corpus", "clips", "speakers", "unreadable", "model", "sha256", "trained"]]
    for name, found in evaluations.items():
        trained = read_card(folders[name]).details.get("training_corpora", [])
        counts = [len(found.utterances), len(set(found.speakers)), len(found.failures)]
        rows.append(
            [
                name,
                *map(str, counts),
                f"{found.model} {found.model_version}",
                found.model_sha256,
                " ".join(entry["name"] for entry in trained),
            ]
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
