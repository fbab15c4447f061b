"""`python -m research.dimensions`: arousal and valence on corpora never met."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.display.progress import counting_bar
from espressivo.cli.evaluate import make_folder
from espressivo.errors import CorpusError
from espressivo.model.find import find_model
from espressivo.training.corpora import read_corpus
from espressivo.training.evaluate import ConditionOptions, evaluate_conditions
from espressivo.types import Dimension
from research.dimensions.figure import plot_plane
from research.dimensions.tables import (
    by_probabilities,
    calibration_table,
    intensity_table,
    ranking_tables,
)
from research.held_out import add_cases, require_held_out
from research.run import run
from research.tables import write_csv

if TYPE_CHECKING:
    from espressivo.training.corpora.utterance import Utterance
    from espressivo.training.scores.evaluation import Evaluation
    from research.tables import Table

_DESCRIPTION = """\
Do arousal and valence, which a model learned from the order of acted emotions, rank the
clips of a corpus that it never met? Every corpus is judged by a model that was trained
without it. Intervals are 95 % bootstrap intervals over speakers."""

_EPILOG = """\
example:
  S=$ESPRESSIVO_DATA/corpora; R=runs/base  # R/X/model was trained without X
  python -m research.dimensions --case $R/ravdess/model ravdess $S/ravdess \\
    --case $R/emodb/model emodb $S/emodb --out report

Predictions are kept in OUT/scores, as `espressivo evaluate --conditions --out` writes
them, so that the same command resumes an interrupted study."""

_INTENSITY = "ravdess"  # the corpus with two intensities


def main(argv: list[str] | None = None) -> int:
    """Run the study and return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m research.dimensions",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cases(parser)
    parser.add_argument(
        "--condition",
        default="clean",
        metavar="NAME",
        help="how the clips are heard, as in `espressivo evaluate` (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="write dimensions.md, plane.png, tables.csv and scores/ here",
    )
    return run(_study, parser.parse_args(argv))


def _study(args: argparse.Namespace) -> int:
    corpora = {name: read_corpus(name, Path(root)) for _, name, root in args.case}
    folders = {name: find_model(model) for model, name, _ in args.case}
    for name, folder in folders.items():
        require_held_out(folder, {name, *(u.corpus for u in corpora[name])})
    make_folder(args.out)
    evaluations = {
        name: _evaluate(folders[name], name, corpora[name], args) for name in corpora
    }
    names = set.intersection(
        *(set(found.dimension_names) for found in evaluations.values())
    )
    tables: list[Table] = []
    for dimension in (Dimension.AROUSAL, Dimension.VALENCE):
        if dimension not in names:
            raise CorpusError(f"a model has no {dimension}; train it with the recipe")
        tables += ranking_tables(dimension, evaluations)
        tables += ranking_tables(
            dimension, evaluations, by_probabilities, " by probabilities"
        )
        tables.append(calibration_table(dimension, evaluations))
    if _INTENSITY in evaluations:
        tables.append(intensity_table(evaluations[_INTENSITY]))
    plot_plane(evaluations, args.out / "plane.png")
    write_csv(tables, args.out / "tables.csv")
    text = "\n".join(table.to_markdown() for table in tables)
    (args.out / "dimensions.md").write_text(text, "utf-8")
    print(text)
    return 0


def _evaluate(
    folder: Path, name: str, utterances: list[Utterance], args: argparse.Namespace
) -> Evaluation:
    options = ConditionOptions(
        (args.condition,),
        out=args.out / "scores",
        watch=lambda corpus, how: counting_bar(f"{folder} on {corpus}, {how}"),
    )
    return (
        evaluate_conditions(folder, {name: utterances}, options)
        .rows[name, args.condition]
        .evaluation
    )


if __name__ == "__main__":
    sys.exit(main())
