"""`espressivo reproduce`: published experiments run again, published values beside."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.cli.crossval import add_running_arguments, run_crossval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from espressivo.training.reproduce.sources import Source
    from espressivo.training.reproduce.studies import Stage

_TABLES = ("I", "II", "production", "fig1")

_DESCRIPTION = """\
Run published experiments again, and put what was published beside what comes out:

  paper         Ismail (2025), the study: Tables I and II, the production model, Fig. 1
  pepino        Pepino et al. (2021), wav2vec2-base: as published, and under our folds
  light-sernet  Aftab et al. (2022): as published, and under our folds

Of the last two the difference is what the published folds gain: by talkers in several
parts, and by more utterances to train on."""

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

_EPILOG = """\
examples:
  espressivo reproduce paper --table II --iemocap IEMOCAP --crema-d CREMA-D
  espressivo reproduce paper --iemocap IEMOCAP --crema-d CREMA-D --ravdess RAVDESS \\
      --out results/paper --dry-run
  espressivo reproduce paper --iemocap IEMOCAP --out results/paper --table I
  espressivo reproduce light-sernet --iemocap IEMOCAP --out results/light-sernet

exit codes:
  0 done, 1 a corpus or a setting is at fault, 130 interrupted (resumable)"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `espressivo`."""
    parser = commands.add_parser(
        "reproduce",
        help="run the study and its baselines again, published numbers beside",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    studies = parser.add_subparsers(metavar="STUDY", required=True)
    paper = _add_study(studies, "paper", "the study", _PAPER)
    paper.add_argument(
        "--table",
        type=_tables,
        action="extend",
        metavar="NAME",
        help=f"only this, of {', '.join(_TABLES)}; several by commas or again "
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
    parser.set_defaults(run=run, study=name)
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
    if unknown := [name for name in wanted if name not in _TABLES]:
        raise argparse.ArgumentTypeError(
            f"there is no table {', '.join(unknown)}; choose of {', '.join(_TABLES)}"
        )
    return wanted


def run(args: argparse.Namespace) -> int:
    """Run what is wanted and not done, then print it beside what was published."""
    from espressivo.cli.display.training_progress import interrupted
    from espressivo.errors import EspressivoError

    tables = _wanted(args) if args.study == "paper" else ["all"]
    if "II" in tables:
        _table_two(args)
        tables.remove("II")
    if not tables:
        return 0
    if args.out is None and not args.dry_run:
        raise EspressivoError("--out is missing; name a folder for the results")
    sources = _read_sources(args, tables)
    stages = _stages(args, sources, tables)
    if args.dry_run:
        from espressivo.cli.display.dry_run import dry_run

        dry_run(args.seeds, sources, stages)
        return 0
    from espressivo.training.reproduce.studies import require_weights

    args.cache = args.cache or args.out / "cache"
    try:
        require_weights(stages, args.out, args.seeds)
        for stage in stages:
            _run_stage(args, sources, stage)
    except KeyboardInterrupt:
        return interrupted(args.out)
    _report(args)
    return 0


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say of a full disk what it costs: nothing that is finished."""
    from espressivo.errors import EspressivoError

    try:
        yield
    except OSError as error:
        raise EspressivoError(
            f"{out}: cannot be written ({error.strerror or error}); what is finished "
            "stays usable: make room, and give the same command again"
        ) from error


def _wanted(args: argparse.Namespace) -> list[str]:
    """Say which tables are run; refuse what was asked for and cannot be."""
    from espressivo.errors import EspressivoError

    needs = {"II": ("crema_d",), "fig1": ("ravdess",)}
    wanted = args.table or list(_TABLES)
    kept = []
    for name in [name for name in _TABLES if name in wanted]:
        lacking = [n for n in needs.get(name, ()) if getattr(args, n) is None]
        options = " and ".join(f"--{n.replace('_', '-')}" for n in lacking)
        if lacking and args.table:
            raise EspressivoError(f"--table {name} needs {options}; say where it is")
        if lacking:
            print(f"{name} is left out: it needs {options}", file=sys.stderr)
        else:
            kept.append(name)
    return kept


def _table_two(args: argparse.Namespace) -> None:
    """Print Table II, and keep it with --out; nothing is imported that is slow."""
    import json

    from espressivo.training.reproduce.sources import read_labels
    from espressivo.training.reproduce.table_two import table_two

    table = table_two(
        read_labels("iemocap", args.iemocap.expanduser()),
        read_labels("crema-d", args.crema_d.expanduser()),
    )
    text, verdict = table.to_markdown(), table.verdict
    print(f"Table II: utterances and average class weights\n\n{text}\n{verdict}\n")
    if args.out is not None and not args.dry_run:
        plain = json.dumps(table.to_dict(), indent=2)
        with _writing(args.out):
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "table-II.md").write_text(f"{text}\n{verdict}\n", "utf-8")
            (args.out / "table-II.json").write_text(plain + "\n", "utf-8")


def _read_sources(args: argparse.Namespace, tables: Sequence[str]) -> dict[str, Source]:
    from espressivo.training.reproduce.sources import cautions_of, read_source

    named = {
        "iemocap": args.iemocap,
        "crema-d": getattr(args, "crema_d", None),
        "ravdess": getattr(args, "ravdess", None) if "fig1" in tables else None,
    }
    sources = {
        name: read_source(name, root, incomplete=args.incomplete)
        for name, root in named.items()
        if root is not None
    }
    for caution in cautions_of(sources.values()):
        print(f"warning: {caution}", file=sys.stderr)
    return sources


def _stages(
    args: argparse.Namespace, sources: Mapping[str, Source], tables: Sequence[str]
) -> list[Stage]:
    from espressivo.training.reproduce import studies

    recipe = studies.read_recipe(
        args.study, args.settings, getattr(args, "weights", "")
    )
    if args.study == "paper":
        return studies.paper_stages(recipe, sources, tables, args.frozen)
    if args.study == "pepino":
        return studies.pepino_stages(recipe, sources["iemocap"])
    return studies.light_sernet_stages(recipe, sources["iemocap"], args.window)


def _cautions(
    args: argparse.Namespace, sources: Mapping[str, Source], corpora: Sequence[str]
) -> list[str]:
    from espressivo.training.reproduce.sources import cautions_of
    from espressivo.training.reproduce.studies import changes

    settings = list(args.settings)
    if getattr(args, "window", 7.0) != 7.0:
        settings.append(f"network.window_s={args.window:g}")
    found = cautions_of(sources[name] for name in corpora)
    return [*found, *filter(None, [changes(settings)])]


def _run_stage(
    args: argparse.Namespace, sources: Mapping[str, Source], stage: Stage
) -> None:
    print(f"{stage.entry.name}: {stage.entry.title}", file=sys.stderr)
    cautions = _cautions(args, sources, list(stage.config.corpora))
    run_crossval(stage.config, stage.folds, args.out / stage.entry.name, args, cautions)
    if stage.entry.table == "production" and "ravdess" in sources:
        _run_elsewhere(args, sources, stage)


def _run_elsewhere(
    args: argparse.Namespace, sources: Mapping[str, Source], stage: Stage
) -> None:
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.reproduce.elsewhere import score_elsewhere

    name = stage.entry.name.replace("production", "ravdess")
    print(f"{name}: {stage.entry.title} on RAVDESS", file=sys.stderr)
    with _writing(args.out), counting_bar("reading RAVDESS") as on_loaded:
        score_elsewhere(
            args.out.absolute() / stage.entry.name,
            stage.folds[0],
            sources["ravdess"],
            args.out.absolute() / name,
            cache=args.cache.absolute(),
            skip_unreadable=args.skip_unreadable,
            cautions=_cautions(args, sources, [*stage.config.corpora, "ravdess"]),
            on_loaded=on_loaded,
        )


def _report(args: argparse.Namespace) -> None:
    """Write reports and the summary of all that is finished; print the summary."""
    from dataclasses import replace
    from itertools import zip_longest

    from rich.console import Console

    from espressivo.cli.tables import print_table
    from espressivo.training.reproduce.summary import write_summary

    console = Console(highlight=False)
    with _writing(args.out):
        written, tables = write_summary(args.study, args.out)
    for table, following in zip_longest(tables, tables[1:]):
        # The notes of a group are the same; below its last table they are enough.
        same = following is not None and following.notes == table.notes
        print_table(console, replace(table, notes=()) if same else table)
    for path in written:
        print(f"wrote {path}")
