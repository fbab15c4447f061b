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
from espressivo.report import name_levels, name_top
from espressivo.text import to_line
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    print_channels([report], console)


def print_channels(reports: Sequence[Report], console: Console | None = None) -> None:
    """Print one timeline of a recording, with a row for each channel.

    Args:
        reports: The report of the recording, or those of its channels.
        console: Where to print; None: standard output.
    """
    console = console or PlainConsole()
    first = reports[0]
    mark = f" [{first.channels}]" if len(reports) > 1 else ""
    parts = [Text(to_line(first.recording.removesuffix(mark)), style="bold")]
    parts.append(Text(to_line(_summary(reports)), style="dim"))
    for report in reports:
        parts += _course(report, len(reports) > 1, console.width)
    if any(report.estimates for report in reports):
        parts += [Text(), *_strips(reports, min(console.width, 80) - 4), Text()]
    console.print(Group(*parts))
    if not any(report.estimates for report in reports):
        console.print("  no speech found, so no emotion is given")
        for gap in _holes(first):
            console.print(f"  {_span(gap)}: {_HOLE}")
        return
    console.print(Padding(_table(reports), (0, 0, 0, 2)))
    if (legend := _legend(reports)) is not None:
        console.print(Padding(Text(legend, style="dim"), (1, 0, 0, 2)))
    for report in reports:
        if report.adaptation is not None:
            told = _line(report, len(reports) > 1, _adaptation(report), style="dim")
            console.print(Padding(told, (1, 0, 0, 2)))


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


def _summary(reports: Sequence[Report]) -> str:
    report, holes = reports[0], ""
    if (n := len(report.gaps)) > _FEW:
        missing_s = sum(gap.n_samples for gap in report.gaps) / SAMPLE_RATE
        holes = f"{n} holes of {clock(missing_s)} in all; "
    speech = f", {clock(report.speech_s)} of speech ({report.speech_share:.0%})"
    if len(reports) > 1:
        spoken = (f"{r.channels} {clock(r.speech_s)}" for r in reports)
        speech = f"; speech: {', '.join(spoken)}"
    model = f"{report.model} {report.model_version}"
    return f"{clock(report.duration_s)} long{speech}; {holes}{model}"


def _line(report: Report, of_channel: bool, text: str, *, style: str = "") -> Text:
    """Return text about a report, behind the name of its channel if it has several."""
    return Text(f"{report.channels}: {text}" if of_channel else text, style=style)


def _course(report: Report, of_channel: bool, width: int) -> list[Text]:
    """Return the sentence and the dimensions, in one line if they fit."""
    if report.summary is None:
        return []
    sentence = _line(report, of_channel, report.summary)
    if (levels := report.dimensions) is None:
        return [sentence]
    told = Text(name_levels(levels), style="dim")
    if len(sentence) + 2 + len(told) > width:
        return [sentence, told]
    return [sentence.append("  ").append_text(told)]


def _adaptation(report: Report) -> str:
    """Return what from, how far the answer moved, and how well the voice is known."""
    use = report.adaptation
    assert use is not None  # the caller has checked it
    roles = {"speaker": use.speaker, "setting": use.setting}
    names = [f"{role} '{name}'" for role, name in roles.items() if name is not None]
    *others, last = map(to_line, names + ["itself"] * use.recording)
    adapted_to = " and ".join([", ".join(others), last] if others else [last])
    without, before = report.emotion_without, report.probabilities_without
    if not use.weight or before is None or without is None:
        return f"adapted to {adapted_to}: nothing is known yet"
    return (
        f"adapted to {adapted_to} by {clock(use.speech_s)} of speech\n"
        f"{report.change:.0%} of the probability moved, without it {without} "
        f"{before[without]:.0%}; voice {known(use.deviation, use.prior_deviation)}"
    )


def _strips(reports: Sequence[Report], width: int) -> list[Text]:
    """Return a strip for each report, behind the channel's name if there are several.

    The strips of all channels have the same scale.
    """
    if len(reports) == 1:
        return [Text("  ") + _strip(reports[0], width)]
    longest = max(len(report.channels) for report in reports)
    return [
        Text(f"  {report.channels:<{longest}}  ") + _strip(report, width - longest - 2)
        for report in reports
    ]


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
    strip = Text()
    for character, style in cells:
        strip.append(character, style=style)
    return strip


def _block(report: Report, estimate: Estimate) -> tuple[str, str]:
    if report.is_uncertain(estimate):
        return "░", "dim"
    return "█", COLOURS[estimate.emotion]


def _table(reports: Sequence[Report]) -> Table:
    """Return the windows of all channels in order of time, then each whole channel."""
    table = Table.grid(padding=(0, 2))
    several = len(reports) > 1

    def add(heading: RenderableType, channel: str, *cells: RenderableType) -> None:
        table.add_row(heading, *([channel] if several else []), *cells)

    rows: list[tuple[Segment, str, tuple[RenderableType, ...]]] = [
        (gap, "", ("", Text(_HOLE, style="dim"))) for gap in _holes(reports[0])
    ]
    width = _BAR_WIDTH - (10 if several else 0)  # in 80 columns, also after an hour
    for report in reports:
        rows += [
            (e.segment, report.channels, _cells(report, e, width))
            for e in report.estimates
        ]
    rows.sort(key=lambda row: row[0])
    for span, channel, cells in rows[:_MANY]:
        add(_span(span), channel, *cells)
    if (n_more := len(rows) - _MANY) > 0:
        add(f"and {n_more} more", "", "--json lists them all")
    for report in reports:
        table.add_row()
        heading: RenderableType = Text("whole recording", style="bold")
        for cells in _whole(report, width):
            add(heading, report.channels if heading else "", *cells)
            heading = ""
    return table


def _whole(report: Report, width: int) -> list[tuple[RenderableType, ...]]:
    """Return the cells of the rows on the whole recording."""
    if not (whole := report.probabilities):
        return [("", Text(report.verdict, style="dim"))]
    rows: list[tuple[RenderableType, ...]] = []
    if report.uncertain:
        rows.append(_unsure(whole))
    # In the model's order, as in figures and in the browser.
    return [*rows, *(_row(emotion, value, width) for emotion, value in whole.items())]


def _cells(
    report: Report, estimate: Estimate, width: int
) -> tuple[RenderableType, ...]:
    """Return the cells of a window's row: the two most probable if it is uncertain."""
    if report.is_uncertain(estimate):
        return _unsure(estimate.probabilities)
    emotion = estimate.emotion
    return _row(emotion, estimate.probabilities[emotion], width)


def _unsure(probabilities: Mapping[Emotion, float]) -> tuple[Text, Text]:
    return Text(_UNCERTAIN, style="dim"), Text(name_top(probabilities))


def _legend(reports: Sequence[Report]) -> str | None:
    """Return what `uncertain` means; None if nothing is."""
    if (certainty := reports[0].certainty) is None:
        return None
    if not any(r.uncertain or any(map(r.is_uncertain, r.estimates)) for r in reports):
        return None
    # Not rounded to whole per cents: "63%" would stand beside a 63% that is uncertain.
    threshold = f"{100 * certainty.threshold:.3g}%"
    return (
        f"{_UNCERTAIN}: no emotion reaches {threshold}; where one does, "
        f"{certainty.accuracy:.0%} were right on new corpora"
    )


def _holes(report: Report) -> tuple[Segment, ...]:
    """Return the holes to list: none if they are many, as in a call with a bad line."""
    return report.gaps if len(report.gaps) <= _FEW else ()


def _span(segment: Segment) -> str:
    return f"{clock(segment.start_s)} - {clock(segment.end_s)}"


def _row(emotion: Emotion, probability: float, width: int) -> tuple[Text, Bar, Text]:
    colour = COLOURS[emotion]
    return (
        Text(f"{emotion:<9}", style=colour),
        Bar(1.0, 0, probability, width=width, color=colour),
        Text(f"{probability:4.0%}"),
    )
