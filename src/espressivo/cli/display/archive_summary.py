"""Summary of an archive, printed for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from espressivo.cli.display.console import PlainConsole
from espressivo.cli.display.timeline import clock
from espressivo.figures.timeline import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from espressivo.batch import AdaptationSummary, Summary
    from espressivo.cli.display.archive_progress import ArchiveBar
    from espressivo.types import Emotion

_BAR_WIDTH = 28


def print_summary(summary: Summary, out: str, bar: ArchiveBar) -> None:
    """Print counts, failures by kind, shares of emotions, hours and speed."""
    console = PlainConsole(soft_wrap=True)

    def show(text: str, style: str = "") -> None:
        console.print(text, style=style)

    show(f"{summary.n_analysed:,} of {summary.n_planned:,} recordings analysed", "bold")
    if summary.n_failed:
        show(f"{summary.n_failed:,} failed, each with its reason in {out}/failures:")
        for kind, n in summary.failures.items():
            show(f"  {n:>9,}  {kind}")
    if summary.left_out:
        n = sum(summary.left_out.values())
        show(f"{n:,} left out as no recordings, listed in {out}/left-out.parquet:")
        for kind, n in summary.left_out.items():
            some = ", ".join(summary.left_out_examples[kind])
            show(f"  {n:>9,}  {kind} ({some}{', ...' if n > 3 else ''})")
    silent = summary.n_analysed - summary.n_with_speech
    show(f"{summary.n_with_speech:,} with speech, {silent:,} without")
    if summary.n_with_speech:
        console.print(Padding(_shares(summary), (0, 0, 0, 2)))
    if summary.n_uncertain:
        share = summary.n_uncertain / summary.n_with_speech
        show(f"{summary.n_uncertain:,} of them ({share:.1%}) uncertain")
    if summary.adaptation and summary.n_with_speech:
        for line in _adaptation(summary.adaptation, summary.n_with_speech):
            show(line)
    show(
        f"{summary.duration_s / 3600:,.2f} hours of sound, "
        f"{summary.speech_s / 3600:,.2f} of speech"
    )
    show(_speed(bar), "dim")


def _shares(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2))
    for emotion, n in sorted(summary.emotions.items(), key=lambda item: -item[1]):
        share, colour = summary.share_of(emotion), COLOURS[emotion]
        table.add_row(
            Text(f"{emotion:<9}", style=colour),
            Bar(1.0, 0, share, width=_BAR_WIDTH, color=colour),
            Text(f"{share:5.1%}"),
            Text(f"{n:>9,}"),
            Text(_uncertain(summary, emotion)),
        )
    return table


def _uncertain(summary: Summary, emotion: Emotion) -> str:
    n = (summary.uncertain or {}).get(emotion, 0)
    return f"{n:,} uncertain" if n else ""


def _adaptation(found: AdaptationSummary, n_with_speech: int) -> Iterator[str]:
    groups = _counted(found.n_groups, "group")
    speakers = _counted(found.n_speakers, "speaker")
    if not found.n_groups:
        groups = "one group of all recordings"
    if not found.n_speakers:
        speakers = "one speaker for each recording"
    adapted_to = f"{groups} and {speakers}"
    if found.setting is not None:
        adapted_to = f"setting '{found.setting}'"
    yield f"adapted to {adapted_to}"
    share = found.n_changed / n_with_speech
    changed = _counted(found.n_changed, "recording")
    yield f"  {changed} ({share:.1%}) got another emotion"
    yield f"  {found.change:.0%} of the probability moved, on average"
    if several := found.several_speakers:
        some = ", ".join(several[:3]) + (", ..." if len(several) > 3 else "")
        yield f"  probably of several people: {some}"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _speed(bar: ArchiveBar) -> str:
    analysis = bar.latest.get("analysis")
    if analysis is None or not analysis.n_now:
        done = "all of it was done before"
    else:
        took_s = bar.took_s("analysis")
        speed = analysis.sound_s / max(took_s, 0.001)
        done = f"{analysis.n_now:,} in {clock(took_s)}, {speed:.0f} x real time"
        if analysis.n_before:
            done += f"; {analysis.n_before:,} were done before"
    if "adaptation" in bar.latest:
        done += f"; adapted in {clock(bar.took_s('voices', 'adaptation'))}"
    return done
