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

RAVDESS is only ever tested. A command that was stopped, however hard, goes on where it
was when it is given again; what is finished is not run again."""

_PEPINO = """\
Run Pepino et al. (2021) again: sessions are tested, a name prefix validates, whose
talkers also train, and features are scaled by each test speaker's own statistics; the
same with the training part's statistics; and those under our folds, where the next
session validates. What frozen wav2vec2-base makes of IEMOCAP is kept: see --dry-run."""

_LIGHT_SERNET = """\
Run LIGHT-SERNET (Aftab et al. 2022) again: ten folds by IEMOCAP's name prefix, which is
no speaker, the epoch chosen on the tested part; and under our folds, where the next
session validates. The recipe is the same."""


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
        help=f"only this, of {', '.join(PAPER_TABLES)}; several by commas or again "
        "(default: all that the corpora allow)",
    )
    paper.add_argument(
        "--frozen",
        choices=("convolutions", "all"),
        default="convolutions",
        help="what of DistilHuBERT stays as it is, as the study's text can be read "
        "either way; both stand beside each other when both have been run (default: "
        "convolutions)",
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
            "--crema-d", type=Path, metavar="DIR", help="trains only, in every fold"
        )
        parser.add_argument("--ravdess", type=Path, metavar="DIR", help="tested only")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="RESULT",
        help="folder of all results; only Table II and --dry-run need none",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would run, how long and how much disk; write nothing",
    )
    parser.add_argument(
        "--incomplete",
        action="store_true",
        help="go on with a corpus that is not the published one; every table says so "
        "(default: stop)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="replace a setting of the recipe, such as training.epochs=5, which every "
        "table says, or device=cpu; repeatable",
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
