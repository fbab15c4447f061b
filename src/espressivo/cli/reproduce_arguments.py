"""Arguments of `espressivo reproduce`: one subcommand per published study."""

from __future__ import annotations

import argparse
from pathlib import Path

from espressivo.cli.crossval import add_running_arguments

PAPER_TABLES = ("I", "II", "production", "fig1")
"""Tables and figures that `reproduce paper` can run, in the order of running."""

_PAPER = """\
Run the study (Ismail 2025, arXiv 2512.23435) again:

  I           leave one session of IEMOCAP out, without CREMA-D and with it
  II          utterances and class weights, from labels and file names: no audio, no
              training, seconds
  production  all of IEMOCAP and CREMA-D, a random 95 % trains
  fig1        the production model on RAVDESS, calm as neutral and without calm

RAVDESS is used for testing only. The same command resumes an interrupted run, even a
killed one; finished runs are not repeated."""

_PEPINO = """\
Run Pepino et al. (2021) again. As published, sessions are tested, the validation part
is chosen by name prefix and shares speakers with the training part, and features are
scaled by each test speaker's own statistics. Variants scale by the training part's
statistics, or use our folds, in which the next session validates. Outputs of the
frozen wav2vec2-base are cached; --dry-run shows their size."""

_LIGHT_SERNET = """\
Run LIGHT-SERNET (Aftab et al. 2022) again. As published, ten folds follow IEMOCAP's
name prefix, which does not identify the speaker, and the epoch is selected on the test
part. A second run uses our folds, in which the next session validates. The recipe is
the same."""


def add_studies(
    studies: argparse._SubParsersAction[argparse.ArgumentParser],
) -> list[argparse.ArgumentParser]:
    """Add one subcommand per study, and return their parsers."""
    paper = _add_study(studies, "paper", "the study", _PAPER)
    paper.add_argument(
        "--table",
        type=_tables,
        action="extend",
        metavar="NAME",
        help=f"run only this one of {', '.join(PAPER_TABLES)}; comma-separated or "
        "repeated (default: all that the given corpora allow)",
    )
    paper.add_argument(
        "--frozen",
        choices=("convolutions", "all"),
        default="convolutions",
        help="layers of DistilHuBERT that stay frozen, since the study's text allows "
        "both readings; results of both are shown side by side (default: convolutions)",
    )
    _add_weights(paper, "ntu-spml/distilhubert")
    pepino = _add_study(studies, "pepino", "Pepino et al. (2021)", _PEPINO)
    _add_weights(pepino, "facebook/wav2vec2-base")
    light = _add_study(studies, "light-sernet", "LIGHT-SERNET", _LIGHT_SERNET)
    light.add_argument(
        "--window",
        type=float,
        choices=(3.0, 7.0),
        default=7.0,
        metavar="SECONDS",
        help="cut or pad recordings to 3 or 7 s (default: 7, as in the recipe)",
    )
    return [paper, pepino, light]


def _add_study(
    studies: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    title: str,
    description: str,
) -> argparse.ArgumentParser:
    parser = studies.add_parser(
        name,
        help=title,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--iemocap", type=Path, required=True, metavar="DIR", help="the full release"
    )
    if name == "paper":
        parser.add_argument(
            "--crema-d", type=Path, metavar="DIR", help="used for training only"
        )
        parser.add_argument(
            "--ravdess", type=Path, metavar="DIR", help="used for testing only"
        )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="RESULT",
        help="folder of all results; only Table II and --dry-run need none",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the runs, their operations, their time on this machine and disk "
        "space; run and write nothing",
    )
    parser.add_argument(
        "--incomplete",
        action="store_true",
        help="continue with a corpus that differs from the published one; every table "
        "notes it (default: stop)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="replace a setting of the recipe, such as training.epochs=5 (noted in "
        "every table) or device=cpu; repeatable",
    )
    add_running_arguments(parser)
    parser.set_defaults(study=name)
    return parser


def _add_weights(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--weights",
        default="",
        metavar="DIR|NAME",
        help="pretrained encoder: a folder as transformers writes it, or a name on the "
        f"hub (default: {name})",
    )


def _tables(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in PAPER_TABLES]:
        raise argparse.ArgumentTypeError(
            f"there is no table {', '.join(unknown)}; choose of "
            + ", ".join(PAPER_TABLES)
        )
    return wanted
