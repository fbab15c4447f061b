"""Captions and labels, read back by FFmpeg and by the grammar of each format."""

from __future__ import annotations

import re
from dataclasses import replace

import av
import pytest

from espressivo import captions
from espressivo.model.classifier import Certainty
from espressivo.types import Estimate, Segment
from tests.test_report import REPORT, SILENT, named

LATE = replace(  # the second window begins after an hour, at no whole millisecond
    REPORT,
    duration_s=4000.0,
    estimates=(
        REPORT.estimates[0],
        Estimate(Segment(57_792_009, 57_888_000), named(0.38, 0.04, 0.41, 0.17)),
    ),
    certainty=Certainty(0.6, 0.8),
)
SPANS = [(0.0, 3.0), (57_792_009 / 16_000, 3618.0)]
TEXTS = ["anger 70%", "uncertain (neutral 41%, anger 38%)"]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_players_read_the_captions(tmp_path, form):
    path = tmp_path / f"note.{form}"
    path.write_text(getattr(captions, f"to_{form}")(LATE), "utf-8")

    with av.open(str(path)) as container:
        found = [
            (float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p))
            for p in container.demux(subtitles=0)
            if p.size
        ]

    assert [text.decode().strip() for _, _, text in found] == TEXTS
    for (start_s, length_s, _), (start, end) in zip(found, SPANS, strict=True):
        assert start_s == pytest.approx(start, abs=6e-4)  # milliseconds
        assert start_s + length_s == pytest.approx(end, abs=6e-4)


def test_captions_of_silence_are_none():
    assert captions.to_srt(SILENT) == captions.to_audacity(SILENT) == ""
    assert captions.to_vtt(SILENT) == "WEBVTT\n"


def test_labels_of_audacity():
    rows = [line.split("\t") for line in captions.to_audacity(LATE).splitlines()]

    assert [row[2] for row in rows] == TEXTS
    for row, (start, end) in zip(rows, SPANS, strict=True):
        assert (float(row[0]), float(row[1])) == pytest.approx((start, end), abs=1e-6)


def tier(text):
    """Return the intervals of a TextGrid's only tier, read as Praat reads one.

    Praat takes strings, numbers and flags from it, and overlooks all other words.
    """
    parts = re.findall(r'"(?:[^"]|"")*"|<\w+>|(?<=\s)-?\d[\d.e-]*(?=\s)', text)
    kind, begin, end, exists, n_tiers, tier_kind, name, *rest = parts[1:]
    assert (kind, exists, n_tiers) == ('"TextGrid"', "<exists>", "1")
    assert (tier_kind, name) == ('"IntervalTier"', '"emotion"')
    assert rest[:2] == [begin, end]
    assert int(rest[2]) == len(rest[3:]) / 3
    rows = zip(rest[3::3], rest[4::3], rest[5::3], strict=True)
    return float(begin), float(end), [(float(a), float(b), c) for a, b, c in rows]


@pytest.mark.parametrize(
    "report",
    [
        LATE,
        SILENT,
        replace(SILENT, duration_s=0.0),
        replace(  # widened windows that reach into each other, up to the end
            REPORT,
            duration_s=1.0,
            estimates=(
                Estimate(Segment(0, 8_000), named(1.0, 0.0, 0.0, 0.0)),
                Estimate(Segment(7_900, 16_000), named(0.0, 1.0, 0.0, 0.0)),
            ),
        ),
    ],
    ids=["late", "silent", "empty", "overlapping"],
)
def test_a_textgrid_covers_the_recording_without_gaps(report):
    begin, end, intervals = tier(captions.to_textgrid(report))

    assert begin == 0
    assert end == (report.duration_s or 0.001)
    edges = [begin, *(b for _, b, _ in intervals)]
    assert edges[:-1] == [a for a, _, _ in intervals]
    assert edges == sorted(set(edges))
    assert edges[-1] == end
    spoken = [text.strip('"') for _, _, text in intervals if text != '""']
    assert spoken == [report.verdict_of(e) for e in report.estimates]
