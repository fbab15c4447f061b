"""Timeline of a report, printed for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from espressivo.cli.display.console import PlainConsole
from espressivo.cli.display.profiles import known
from espressivo.figures.timeline import COLOURS
from espressivo.report import name_top
from espressivo.text import to_line
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from espressivo.report import Report
    from espressivo.types import Emotion, Estimate, Segment

_BAR_WIDTH = 28
_MANY = 40  # rows listed; more would scroll the result off the screen
_FEW = 10  # holes listed; the summary gives the sum of more
_HOLE = "no sound in the file here"
_UNCERTAIN = "uncertain"


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the timeline, and the probabilities of the whole recording."""
    console = console or PlainConsole()
    parts = [Text(to_line(report.recording), style="bold")]
    parts.append(Text(to_line(_summary(report)), style="dim"))
    if report.estimates:
        width = min(console.width, 80) - 4
        parts += [Text(), _strip(report, width), Text()]
    console.print(Group(*parts))
    if not report.estimates:
        console.print("  no speech found, so no emotion is given")
        for gap in _holes(report):
            console.print(f"  {_span(gap)}: {_HOLE}")
        return
    console.print(Padding(_table(report), (0, 0, 0, 2)))
    if (legend := _legend(report)) is not None:
        console.print(Padding(Text(legend, style="dim"), (1, 0, 0, 2)))
    if report.adaptation is not None:
        console.print(Padding(_adaptation(report), (1, 0, 0, 2)))


def clock(seconds: float) -> str:
    """Return seconds as m:ss.t, or as h:mm:ss.t from one hour on.

    >>> clock(75.25), clock(3661)
    ('1:15.2', '1:01:01.0')
    """
    # Rounded before it is split, or 59.96 s would be printed as 0:60.0.
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02}.{tenths % 10}"
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


def _summary(report: Report) -> str:
    holes = ""
    if (n := len(report.gaps)) > _FEW:
        missing_s = sum(gap.n_samples for gap in report.gaps) / SAMPLE_RATE
        holes = f"{n} holes of {clock(missing_s)} in all; "
    return (
        f"{clock(report.duration_s)} long, {clock(report.speech_s)} of speech "
        f"({report.speech_share:.0%}); {holes}{report.model} {report.model_version}"
    )


def _adaptation(report: Report) -> Text:
    """Return what from, how far the answer moved, and how well the voice is known."""
    use = report.adaptation
    assert use is not None  # the caller has checked it
    roles = {"speaker": use.speaker, "setting": use.setting}
    names = [f"{role} '{name}'" for role, name in roles.items() if name is not None]
    *others, last = map(to_line, names + ["itself"] * use.recording)
    adapted_to = " and ".join([", ".join(others), last] if others else [last])
    without, before = report.emotion_without, report.probabilities_without
    if not use.weight or before is None or without is None:
        return Text(f"adapted to {adapted_to}: nothing is known yet", style="dim")
    return Text(
        f"adapted to {adapted_to} by {clock(use.speech_s)} of speech\n"
        f"{report.change:.0%} of the probability moved, without it {without} "
        f"{before[without]:.0%}; voice {known(use.deviation, use.prior_deviation)}",
        style="dim",
    )


def _strip(report: Report, width: int) -> Text:
    """Return the recording as one line: `█` for windows in the colour of the emotion.

    `░` are uncertain windows, `·` pauses and `/` holes.
    """
    cells: list[tuple[str, str]] = [("·", "dim")] * width
    # At least one sample per cell, since a recording can have fewer samples than cells.
    per_cell = max(1.0, report.duration_s * SAMPLE_RATE / width)
    spans = [(gap, ("/", "dim")) for gap in report.gaps]
    spans += [(e.segment, _block(report, e)) for e in report.estimates]
    for span, cell in spans:
        first = int(span.start / per_cell)
        last = max(first + 1, round(span.end / per_cell))
        for i in range(first, min(last, width)):
            cells[i] = cell
    strip = Text("  ")
    for character, style in cells:
        strip.append(character, style=style)
    return strip


def _block(report: Report, estimate: Estimate) -> tuple[str, str]:
    if report.is_uncertain(estimate):
        return "░", "dim"
    return "█", COLOURS[report.emotion_of(estimate)]


def _table(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    rows: list[tuple[Segment, tuple[RenderableType, ...]]] = [
        (gap, ("", Text(_HOLE, style="dim"))) for gap in _holes(report)
    ]
    rows += [(e.segment, _cells(report, e)) for e in report.estimates]
    rows.sort(key=lambda row: row[0])
    for span, cells in rows[:_MANY]:
        table.add_row(_span(span), *cells)
    if (n_more := len(rows) - _MANY) > 0:
        table.add_row(f"and {n_more} more", "--json lists them all")
    table.add_row()
    whole = report.probabilities or {}
    heading: Text | str = Text("whole recording", style="bold")
    if report.uncertain:
        table.add_row(heading, *_unsure(report, [*whole.values()]))
        heading = ""
    for emotion, probability in sorted(whole.items(), key=lambda item: -item[1]):
        table.add_row(heading, *_row(emotion, probability))
        heading = ""
    return table


def _cells(report: Report, estimate: Estimate) -> tuple[RenderableType, ...]:
    """Return the cells of a window's row: the two most probable if it is uncertain."""
    if report.is_uncertain(estimate):
        return _unsure(report, estimate.probabilities)
    return _row(report.emotion_of(estimate), max(estimate.probabilities))


def _unsure(report: Report, probabilities: Sequence[float]) -> tuple[Text, Text]:
    return (
        Text(_UNCERTAIN, style="dim"),
        Text(name_top(report.emotions, probabilities)),
    )


def _legend(report: Report) -> str | None:
    """Return what `uncertain` means; None if nothing is."""
    if (certainty := report.certainty) is None:
        return None
    if not (report.uncertain or any(map(report.is_uncertain, report.estimates))):
        return None
    # Not rounded to whole per cents: "63%" would stand beside a 63% that is uncertain.
    threshold = f"{100 * certainty.threshold:.3g}%"
    return (
        f"{_UNCERTAIN}: no emotion reaches {threshold}; "
        f"{certainty.accuracy:.0%} of the others were right on new corpora"
    )


def _holes(report: Report) -> tuple[Segment, ...]:
    """Return the holes to list: none if they are many, as in a call with a bad line."""
    return report.gaps if len(report.gaps) <= _FEW else ()


def _span(segment: Segment) -> str:
    return f"{clock(segment.start_s)} - {clock(segment.end_s)}"


def _row(emotion: Emotion, probability: float) -> tuple[Text, Bar, Text]:
    colour = COLOURS[emotion]
    return (
        Text(f"{emotion:<9}", style=colour),
        Bar(1.0, 0, probability, width=_BAR_WIDTH, color=colour),
        Text(f"{probability:4.0%}"),
    )
