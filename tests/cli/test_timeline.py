"""The timeline of a report in the terminal and in a figure: holes, uncertainty."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from espressivo.cli.display.timeline import print_channels, print_report
from espressivo.model.classifier import Certainty
from espressivo.types import Dimension, Estimate, Segment
from tests.test_report import REPORT, SILENT, named

HOLE = Segment(48_000, 64_000)  # between the report's two windows, of 10 s


def shown(report, width=84) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text, width=width))
    return text.getvalue()


def test_channels_are_rows_of_one_timeline():
    left = replace(REPORT, recording="call.wav [left]", channels="left")
    late = replace(REPORT.estimates[0], segment=Segment(80_000, 160_000))
    right = replace(
        left,
        recording="call.wav [right]",
        channels="right",
        segments=(late.segment,),
        estimates=(late,),
        duration_s=4000.0,
    )
    left = replace(left, duration_s=4000.0)
    silent = replace(SILENT, recording="call.wav [channel 3]", channels="channel 3")
    text = io.StringIO()

    print_channels([left, right, silent], Console(file=text, width=80))

    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines[0] == "call.wav"
    assert max(map(len, lines)) <= 80
    strips = [line.split() for line in lines if "··" in line]
    assert [" ".join(words[:-1]) for words in strips] == ["left", "right", "channel 3"]
    assert len({len(words[-1]) for words in strips}) == 1
    rows = [line.split()[3:5] for line in lines if " - 0:" in line]
    assert rows == [["left", "anger"], ["left", "sadness"], ["right", "anger"]]
    wholes = [line.split(maxsplit=2)[2] for line in lines if "whole recording" in line]
    assert [w.split()[0] for w in wholes] == ["left", "right", "channel"]
    assert wholes[-1].split(maxsplit=2)[-1] == "no speech found"


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


UNSURE = replace(
    REPORT,
    estimates=(
        REPORT.estimates[0],
        Estimate(Segment(64_000, 80_000), named(0.42, 0, 0.58, 0)),
    ),
    certainty=Certainty(0.65, 0.8),
)


def test_uncertain_windows_are_told_by_words_and_marks():
    lines = shown(UNSURE).splitlines()

    strip = next(line for line in lines if "█" in line).strip()
    assert strip == "█" * 23 + "·" * 7 + "░" * 8 + "·" * 38
    rows = [line.split() for line in lines if " - 0:" in line]
    assert rows[0][3] == "anger"
    assert " ".join(rows[1][3:]) == "uncertain neutral 58%, anger 42%"
    whole = next(line for line in lines if "whole recording" in line)
    assert "uncertain  anger 63%, neutral 22%" in whole
    assert "no emotion reaches 65%; where one does, 80% were right" in lines[-1]


def test_nothing_is_said_of_certainty_where_all_is_certain():
    certain = replace(REPORT, certainty=Certainty(0.5, 0.8))

    assert shown(certain) == shown(REPORT)


def test_the_figure_marks_uncertain_windows(tmp_path):
    mpl = pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    from espressivo.figures.timeline import plot_timelines

    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_timelines([UNSURE], tmp_path / "unsure.svg")
        plot_timelines([REPORT], tmp_path / "sure.svg")

    unsure, sure = (
        (tmp_path / f"{name}.svg").read_text("utf-8") for name in ("unsure", "sure")
    )
    assert "<pattern" in unsure
    assert "uncertain (anger 63%, neutral 22%)" in unsure
    assert re.findall(r">(\? uncertain|\?)<", unsure) == ["?", "? uncertain"]
    assert "uncertain" not in sure


def test_the_figure_of_hours_keeps_its_colours(tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="needs the extra `plot`")
    from espressivo.figures.timeline import plot_timelines

    step = 8 * 16_000
    angry = tuple(
        Estimate(Segment(i * step, (i + 1) * step), named(1.0, 0.0, 0.0, 0.0))
        for i in range(3000)
    )
    plot_timelines(
        [replace(REPORT, estimates=angry, duration_s=24_000.0)], tmp_path / "a.png"
    )

    red, green, blue, _ = image.imread(tmp_path / "a.png").transpose(2, 0, 1)
    middle = len(red) // 2
    is_anger = (red > 0.8) & (green < 0.5) & (blue < 0.2)  # #d55e00
    assert is_anger[middle].mean() > 0.8


def test_arousal_and_valence_are_beside_the_sentence_and_time_is_a_clock(tmp_path):
    mpl = pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    from espressivo.figures.timeline import plot_timelines

    levels = {Dimension.AROUSAL: 0.3, Dimension.VALENCE: 0.625}
    moved = tuple(replace(e, dimensions=levels) for e in REPORT.estimates)
    report = replace(REPORT, estimates=moved, dimension_names=(*levels,))
    told = "arousal 0.30, valence 0.62"

    assert f"Calm throughout.  {told}\n" in shown(report, 44)
    assert f"Calm throughout.\n{told}\n" in shown(report, 43)
    for duration_s, clock in ((90, False), (91, True)):
        with mpl.rc_context({"svg.fonttype": "none"}):
            lasting = replace(report, duration_s=duration_s)
            plot_timelines([lasting], tmp_path / "a.svg")
        text = (tmp_path / "a.svg").read_text("utf-8")
        assert (">1:00<" in text, ">time (s)<" in text) == (clock, not clock)
        assert told in text


def test_the_figure_hatches_holes(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    from espressivo.figures.timeline import plot_timelines

    plot_timelines([replace(REPORT, gaps=(HOLE,))], tmp_path / "hole.svg")
    plot_timelines([REPORT], tmp_path / "whole.svg")

    assert "<pattern" in (tmp_path / "hole.svg").read_text("utf-8")
    assert "<pattern" not in (tmp_path / "whole.svg").read_text("utf-8")
