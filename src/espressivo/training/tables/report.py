"""Report: all tables and figures of some results as files and as one page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from espressivo.errors import TrainingError
from espressivo.files.excel import to_excel
from espressivo.training import figures
from espressivo.training.corpora.ravdess import RAVDESS
from espressivo.training.scores.learning_curves import read_learning_curves
from espressivo.training.tables.build import (
    class_table,
    confusion_table,
    dimension_table,
    fold_table,
    interval_table,
    main_table,
    stem_of,
)
from espressivo.training.tables.comparison import comparison_table, published_table
from espressivo.training.tables.headline import headline, lead_measure
from espressivo.training.tables.labels import RANDOM, names_of
from espressivo.training.tables.page import PAGE, to_figure
from espressivo.training.tables.published import (
    NOT_MEASURED,
    STUDY_CONFUSION,
)
from espressivo.training.tables.render import FORMATS, tables_to_html
from espressivo.training.tables.table import turned
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from espressivo.training.figures import Point
    from espressivo.training.scores.crossval_results import CrossvalResults
    from espressivo.training.tables.table import Table

REPORT = "report.html"
"""File name of the page."""

_MOST_ABREAST = 6  # systems whose columns fit a screen


@dataclass(frozen=True, slots=True)
class _Picture:
    """A figure: stem of its files, caption, alternative text, and drawing function."""

    name: str
    caption: str
    alt: str
    draw: Callable[[Sequence[Path]], None]


def write_report(
    results: Sequence[CrossvalResults],
    folder: Path,
    against: CrossvalResults | None = None,
    points: Sequence[Point] = (),
    *,
    command: str = "",
    excel: bool = False,
) -> Path:
    """Write `report.html`, and each table and figure as a file, into `folder`.

    All files are created first, then moved into place, the page last; other files in
    the folder stay. The page has no scripts and loads nothing. It begins with the
    result in a sentence and a figure, and ends with date, version and command.

    Args:
        results: One or several systems.
        folder: Folder of the report; created if it does not exist.
        against: System that each is compared with, on the same utterances.
        points: Points of the figure of UA against size and time; no figure if empty.
        command: Command line that makes the report; not on the page if empty.
        excel: Write the CSV files in the form that Excel opens.

    Returns:
        The path of the page.

    Raises:
        CorpusError: A system tested none of the utterances of `against`.
        TrainingError: The folder cannot be written.
    """
    tables = all_tables(results, against)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that `replace` is a rename within one file system.
        with TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
            new = Path(temporary)
            pictures = _files(new, tables, _pictures(results, points, against), excel)
            page = PAGE.format(
                lead=f'<p class="lead">{escape(headline(results, against))}</p>\n'
                f"{pictures[0]}",
                tables=tables_to_html([*map(_laid_out, tables)]),
                figures="\n".join(pictures[1:]),
                end=_end(results, command),
            )
            (new / REPORT).write_text(page, "utf-8")
            # The page comes last, so that it never stands beside older tables.
            for path in [*sorted(new.glob("*/*")), new / REPORT]:
                target = folder / path.relative_to(new)
                target.parent.mkdir(exist_ok=True)
                path.replace(target)
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be written ({error.strerror or error}); free space or "
            "name another folder"
        ) from error
    return folder / REPORT


def all_tables(
    results: Sequence[CrossvalResults], against: CrossvalResults | None = None
) -> list[Table]:
    """Return every table under a unique name, the most important first."""
    found = [main_table(results), interval_table(results)]
    if against is not None:
        found.append(comparison_table(results, against))
    if (beside := published_table(results)) is not None:
        found.append(beside)
    found.append(class_table(results))
    if (dimensions := dimension_table(results)) is not None:
        # Where nothing but dimensions was learned, they are the result.
        is_lead = lead_measure(results)[0] != "ua"
        found.insert(0 if is_lead else len(found), dimensions)
    found += [fold_table(one) for one in results]
    found += [confusion_table(one) for one in results]
    return list(_apart(found))


def _apart(tables: Iterable[Table]) -> Iterator[Table]:
    # Result folders of different parents may have the same last name.
    seen: set[str] = set()
    for table in tables:
        name, n = table.name, 1
        while name in seen:
            n += 1
            name = f"{table.name}-{n}"
        seen.add(name)
        yield replace(table, name=name)


def _files(
    folder: Path, tables: Sequence[Table], pictures: Iterable[_Picture], excel: bool
) -> list[str]:
    """Write each table and figure; return the figures as HTML."""
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    for table in tables:
        for ending, write in FORMATS.values():
            path = folder / "tables" / f"{table.name}.{ending}"
            is_excel = excel and ending == "csv"
            text = to_excel(write(table)) if is_excel else write(table)
            path.write_text(text, "utf-8", newline="")
    shown = []
    for i, picture in enumerate(pictures):
        path = folder / "figures" / f"{picture.name}.svg"
        picture.draw((path, path.with_suffix(".png")))
        svg = path.read_text("utf-8")
        shown.append(to_figure(svg, f"figure{i}", picture.alt, picture.caption))
    return shown


def _laid_out(table: Table) -> Table:
    is_tall = table.name in ("main", "intervals") and len(table.rows) <= _MOST_ABREAST
    return turned(table) if is_tall else table


def _end(results: Sequence[CrossvalResults], command: str) -> str:
    """Return the end of the page: what made it, and when each result was trained."""
    lines = [f"Made on {datetime.now(UTC):%Y-%m-%d} by espressivo {__version__}"]
    lines[0] += f", with <code>{escape(command)}</code>." if command else "."
    for name, one in zip(names_of(results), results, strict=True):
        started = str(one.card.get("started", ""))[:10]
        version = one.card.get("versions", {}).get("espressivo", "")
        revision = str(one.card.get("git") or "")[:8]
        made = (f"by espressivo {version}" * bool(version), revision)
        words = ", ".join(word for word in (f"on {started}", *made) if word)
        lines.append(escape(f"{name}: cross-validated {words}."))
    return f"<footer>{''.join(f'<p>{line}</p>' for line in lines)}</footer>"


def _labelled(results: Sequence[CrossvalResults]) -> dict[str, CrossvalResults]:
    labels = [
        f"{name} ({RANDOM})" if one.protocol == "random" else name
        for name, one in zip(names_of(results), results, strict=True)
    ]
    return dict(zip(labels, results, strict=True))


def _pictures(
    results: Sequence[CrossvalResults],
    points: Sequence[Point],
    against: CrossvalResults | None,
) -> Iterator[_Picture]:
    everyone = [*results]
    if against is not None and all(one.folder != against.folder for one in results):
        everyone.append(against)
    measure, label = lead_measure(everyone)
    yield _Picture(
        "systems",
        f"{label} of all test answers together, with its 95 % interval over speakers.",
        f"{label} of each system, as in the sentence above and the table below.",
        partial(
            figures.plot_systems, _labelled(everyone), measure=measure, label=label
        ),
    )
    named = _labelled(results)
    uas = "; ".join(f"{name}: UA {one.pooled['ua']:.3f}" for name, one in named.items())
    yield _Picture(
        "folds",
        "UA of every fold and of every speaker in it; below, of all test answers "
        "together, with its 95 % interval over speakers.",
        f"Dots of UA by fold and speaker. {uas}.",
        partial(figures.plot_folds, named),
    )
    eces = "; ".join(f"{n}: ECE {one.pooled['ece']:.3f}" for n, one in named.items())
    yield _Picture(
        "reliability",
        "How often answers are right, by how sure the model is. Bars: 95 % over "
        "speakers; on the dashed line it is as often right as it says.",
        f"Reliability diagrams. {eces}.",
        partial(figures.plot_reliability, {n: one.pool for n, one in named.items()}),
    )
    stems: set[str] = set()
    for i, (name, one) in enumerate(named.items(), 1):
        stem = stem_of(one) if stem_of(one) not in stems else f"{stem_of(one)}-{i}"
        stems.add(stem)
        yield _confusions(name, one, stem)
    if any(read_learning_curves(one) for one in results):
        yield _Picture(
            "curves",
            "Validation UA of every epoch: a thin line a run, the bold line their "
            "mean; a dot marks a run's best epoch.",
            "Lines of validation UA over epochs, one panel a system.",
            partial(figures.plot_curves, named),
        )
    if points:
        listed = "; ".join(f"{p.name}: UA {p.ua:.3f}" for p in points)
        yield _Picture(
            "pareto",
            "UA against size and time. The line joins what nothing measured beats at "
            "the same cost; hollow marks are published, not measured here.",
            f"UA against size and time. {listed}.",
            partial(figures.plot_pareto, points),
        )


def _confusions(name: str, one: CrossvalResults, stem: str) -> _Picture:
    panels = []
    for each in (one, one.without_variant):
        if each is not None:
            v = each.variant
            variant = (
                f"{v.title_without if each.is_without else v.title}, " if v else ""
            )
            title = f"{name}\n{variant}UA {each.pooled['ua']:.3f}"
            panels.append(figures.Confusion(each.pool.confusion, title))
    caption = (
        f"{name}: what each emotion is taken for; shares and counts of utterances."
    )
    # The study prints a confusion matrix of RAVDESS only.
    if one.corpora == ["ravdess"]:
        title = f"Ismail (2025), Fig. 1, {RAVDESS.variants[0].title}\n{NOT_MEASURED}"
        panels.append(figures.Confusion(STUDY_CONFUSION, title, are_counts=False))
        caption += " Right: the study's, of a model that never heard RAVDESS."
    return _Picture(
        f"confusion-{stem}",
        caption,
        f"Confusion matrices of {name}; the table Confusion holds the same shares.",
        partial(figures.plot_confusions, panels),
    )
