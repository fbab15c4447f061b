"""`espressivo reproduce`: replication of published experiments."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from typing import TYPE_CHECKING

from espressivo.cli.crossval import run_crossval
from espressivo.cli.display.printing import print_lines, say, tell
from espressivo.cli.reproduce_arguments import PAPER_TABLES, add_studies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from espressivo.training.reproduce.studies import Stage
    from espressivo.training.reproduce.study_corpora import StudyCorpus

_DESCRIPTION = """\
Run published experiments again, and show results beside the published values:

  paper         Ismail (2025), the study: Tables I and II, the production model, Fig. 1
  pepino        Pepino et al. (2021), wav2vec2-base: as published, and under our folds
  light-sernet  Aftab et al. (2022): as published, and under our folds

For the last two, the difference between the folds is the gain of the published ones:
from speakers in several parts, and from more training utterances."""

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
    for study in add_studies(studies):
        study.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the unfinished experiments; print results beside the published values."""
    from espressivo.cli.display.training_progress import interrupted
    from espressivo.errors import EspressivoError

    tables = _wanted(args) if args.study == "paper" else ["all"]
    # Table II counts labels, so it needs neither audio nor training.
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

    # Shared by all stages, which decode the same recordings.
    args.cache = args.cache or args.out / "cache"
    try:
        require_weights(stages, args.out, args.seeds)
        for stage in stages:
            _run_stage(args, sources, stage)
    except KeyboardInterrupt as interrupt:
        return interrupted(args.out, interrupt)
    _report(args)
    return 0


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Convert an OSError, such as a full disk, into an error with a remedy."""
    from espressivo.errors import EspressivoError

    try:
        yield
    except OSError as error:
        raise EspressivoError(
            f"{out}: cannot be written ({error.strerror or error}); what is finished "
            "stays usable: make room, and give the same command again"
        ) from error


def _wanted(args: argparse.Namespace) -> list[str]:
    """Return the tables to run; raise if a requested one lacks its corpus."""
    from espressivo.errors import EspressivoError

    needs = {"II": ("crema_d",), "fig1": ("ravdess",)}
    wanted = args.table or list(PAPER_TABLES)
    kept = []
    # In the order of the study, since Fig. 1 needs the production model.
    for name in [name for name in PAPER_TABLES if name in wanted]:
        lacking = [n for n in needs.get(name, ()) if getattr(args, n) is None]
        options = " and ".join(f"--{n.replace('_', '-')}" for n in lacking)
        # Without --table all tables are wanted, as far as corpora are there.
        if lacking and args.table:
            raise EspressivoError(f"--table {name} needs {options}; say where it is")
        if lacking:
            tell(f"{name} is left out: it needs {options}")
        else:
            kept.append(name)
    return kept


def _table_two(args: argparse.Namespace) -> None:
    """Print Table II, and write it with --out; slow modules are not imported."""
    import json

    from espressivo.training.reproduce.study_corpora import read_labels
    from espressivo.training.reproduce.table_two import table_two

    table = table_two(
        read_labels("iemocap", args.iemocap.expanduser()),
        read_labels("crema-d", args.crema_d.expanduser()),
    )
    text, verdict = table.to_markdown(), table.verdict
    print_lines(
        f"Table II: utterances and average class weights\n\n{text}\n{verdict}\n\n"
    )
    if args.out is not None and not args.dry_run:
        plain = json.dumps(table.to_dict(), indent=2)
        with _writing(args.out):
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "table-II.md").write_text(f"{text}\n{verdict}\n", "utf-8")
            (args.out / "table-II.json").write_text(plain + "\n", "utf-8")


def _read_sources(
    args: argparse.Namespace, tables: Sequence[str]
) -> dict[str, StudyCorpus]:
    from espressivo.training.reproduce.study_corpora import (
        cautions_of,
        read_study_corpus,
    )

    named = {
        "iemocap": args.iemocap,
        "crema-d": getattr(args, "crema_d", None),
        "ravdess": getattr(args, "ravdess", None) if "fig1" in tables else None,
    }
    sources = {
        name: read_study_corpus(name, root, incomplete=args.incomplete)
        for name, root in named.items()
        if root is not None
    }
    for caution in cautions_of(sources.values()):
        tell(f"warning: {caution}")
    return sources


def _stages(
    args: argparse.Namespace, sources: Mapping[str, StudyCorpus], tables: Sequence[str]
) -> list[Stage]:
    from espressivo.training.reproduce import studies

    recipe = studies.read_study_recipe(
        args.study, args.settings, getattr(args, "weights", "")
    )
    if args.study == "paper":
        return studies.paper_stages(recipe, sources, tables, args.frozen)
    if args.study == "pepino":
        return studies.pepino_stages(recipe, sources["iemocap"])
    return studies.light_sernet_stages(recipe, sources["iemocap"], args.window)


def _cautions(
    args: argparse.Namespace, sources: Mapping[str, StudyCorpus], corpora: Sequence[str]
) -> list[str]:
    from espressivo.training.reproduce.studies import changes
    from espressivo.training.reproduce.study_corpora import cautions_of

    settings = list(args.settings)
    if getattr(args, "window", 7.0) != 7.0:
        # The published result has 7 s, so another window is a change that tables tell.
        settings.append(f"network.window_s={args.window:g}")
    found = cautions_of(sources[name] for name in corpora)
    return [*found, *filter(None, [changes(settings)])]


def _run_stage(
    args: argparse.Namespace, sources: Mapping[str, StudyCorpus], stage: Stage
) -> None:
    tell(f"{stage.entry.name}: {stage.entry.title}")
    cautions = _cautions(args, sources, list(stage.config.corpora))
    run_crossval(stage.config, stage.folds, args.out / stage.entry.name, args, cautions)
    if stage.entry.table == "production" and "ravdess" in sources:
        _run_elsewhere(args, sources, stage)


def _run_elsewhere(
    args: argparse.Namespace, sources: Mapping[str, StudyCorpus], stage: Stage
) -> None:
    from espressivo.cli.display.progress import counting_bar
    from espressivo.training.reproduce.cross_corpus import evaluate_cross_corpus

    name = stage.entry.name.replace("production", "ravdess")
    tell(f"{name}: {stage.entry.title} on RAVDESS")
    with _writing(args.out), counting_bar("reading RAVDESS") as on_loaded:
        evaluate_cross_corpus(
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
    """Write reports and the summary of all finished experiments; print the summary."""
    from espressivo.cli.display.console import PlainConsole
    from espressivo.cli.display.tables import print_tables
    from espressivo.training.reproduce.summary import write_summary

    with _writing(args.out):
        written, tables = write_summary(args.study, args.out)
    print_tables(PlainConsole(), tables)
    for path in written:
        say(f"wrote {path}")
