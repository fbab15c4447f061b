"""The timeline of a report in the terminal and in a figure: holes of the file."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from espressivo.cli.display.timeline import print_report
from espressivo.types import Segment
from tests.test_report import REPORT, SILENT

HOLE = Segment(48_000, 64_000)  # between the report's two windows, of 10 s


def shown(report) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text, width=84))
    return text.getvalue()


def test_a_hole_is_drawn_and_listed_in_its_place():
    lines = shown(replace(REPORT, gaps=(HOLE,))).splitlines()

    strip = next(line for line in lines if "█" in line).strip()
    assert strip == "█" * 23 + "/" * 7 + "█" * 8 + "·" * 38  # 7.6 cells a second
    rows = [line.split("  ")[1] for line in lines if " - 0:" in line]
    assert rows == ["0:00.0 - 0:03.0", "0:03.0 - 0:04.0", "0:04.0 - 0:05.0"]
    assert "no sound in the file here" in next(x for x in lines if rows[1] in x)


def test_without_holes_nothing_is_said_of_them():
    assert "/" not in shown(REPORT)
    assert "sound" not in shown(REPORT)


def test_holes_are_told_where_nobody_speaks():
    assert "0:03.0 - 0:04.0: no sound in the file here" in shown(
        replace(SILENT, gaps=(HOLE,))
    )


def test_many_holes_are_summed_up():
    gaps = tuple(Segment(n, n + 1_600) for n in range(80_000, 160_000, 3_200))

    text = shown(replace(REPORT, gaps=gaps))

    assert "25 holes of 0:02.5 in all" in text
    assert "no sound" not in text
    assert text.count(" - 0:") == len(REPORT.estimates)


def test_the_figure_hatches_holes(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    from espressivo.figures.timeline import plot_timelines

    plot_timelines([replace(REPORT, gaps=(HOLE,))], tmp_path / "hole.svg")
    plot_timelines([REPORT], tmp_path / "whole.svg")

    assert "<pattern" in (tmp_path / "hole.svg").read_text("utf-8")
    assert "<pattern" not in (tmp_path / "whole.svg").read_text("utf-8")
