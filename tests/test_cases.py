"""The odd recordings of `../shared/cases`, each with the answer its README wants.

A case is compared with a recording of the same sound that has nothing odd about it, or
with FFmpeg's own decode (`tests.players`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from espressivo.types import SAMPLE_RATE
from tests.players import FRAME_S, played

CLEAN = "clean.opus"


@dataclass(frozen=True, slots=True)
class Case:
    """One odd recording and what is wanted of it.

    Attributes:
        name: Name of the file.
        like: Name of a file with the same sound; empty: FFmpeg's decode of the case.
        decode: Options of `played` for that decode.
        duration_s: Duration as ffprobe or ffmpeg tell it, in seconds.
        places: Time at which each copy of the clean recording's sound begins.
        cut_s: Beginning and end of the clean recording's sound that the case holds.
        channels: What the report calls the channels.
        track: Number of the track in the report.
        gaps: Holes: begin and end, in seconds.
        warning: Part of the only warning about the file; empty: none.
    """

    name: str
    like: str = ""
    decode: tuple[tuple[str, object], ...] = ()
    duration_s: float = 7.09
    places: tuple[float, ...] = (0.0,)
    cut_s: tuple[float, float] = (0.0, 7.09)
    channels: str = "mono"
    track: int = 1
    gaps: tuple[tuple[float, float], ...] = ()
    warning: str = ""


CASES = [
    Case(
        "second-track-default.mkv",
        decode=(("track", 2),),
        duration_s=5.0,
        cut_s=(0.0, 5.0),
        track=2,
        warning="analysed is track 2 (opus), not track 1 (opus); choose with --track",
    ),
    Case(
        "one-of-2-channels-quiet.flac",
        decode=(("pan", "mono|c0=c0"),),
        duration_s=4.0,
        places=(),
        channels="left",
    ),
    Case(
        "phase-inverted.m4a",
        decode=(("pan", "mono|c0=c0"),),
        channels="left",
        warning="cancel",
    ),
    # ffmpeg -af aresample=async=1:first_pts=0 writes 17.088 s, without it 7.081 s.
    Case("gap-of-10s.webm", duration_s=17.09, gaps=((3.018, 13.019),), places=()),
    Case(
        "browser-concatenated.mp3",
        decode=(("clock", False),),
        duration_s=14.24,
        places=(0.0, 7.13),
    ),
    Case(
        "browser-chained.ogg",
        decode=(("clock", False),),
        duration_s=14.17,
        places=(0.0, 7.08),
    ),
    Case("trimmed-end.m4a", duration_s=2.5, cut_s=(0.0, 2.5)),
    Case("browser-preskip-1s.ogg", duration_s=6.09, places=(-1.0,), cut_s=(1.0, 7.09)),
    Case("telegram-android-no-eos.ogg", like=CLEAN),
    Case("recordrtc-riff-size.wav", duration_s=2.5, cut_s=(0.0, 2.5)),
    Case("sox-to-pipe.wav", like="recordrtc-riff-size.wav", duration_s=2.5, places=()),
    Case("adts-vbr.aac", duration_s=12.16, places=(5.06,)),
    Case("picture-longer-than-sound.mp4"),
    Case("latin1-tag.opus", like=CLEAN),
    Case("iphone-voice-memo.qta", like="picture-longer-than-sound.mp4"),
]


@pytest.fixture(scope="module")
def report_of(analyzer, shared):
    """Reports of the files, each analysed once."""
    reports = {}

    def report(name):
        if name not in reports:
            reports[name] = analyzer.analyze(shared / "cases" / name)
        return reports[name]

    return report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_odd_recording_is_heard_as_a_player_plays_it(
    analyzer, report_of, shared, case
):
    report = report_of(case.name)

    if case.like:
        wanted = report_of(case.like)
    else:
        signal = played(shared / "cases" / case.name, **dict(case.decode))
        # Before version 9, FFmpeg plays the last packet of an edit to its end.
        n = round(case.duration_s * SAMPLE_RATE)
        wanted = analyzer.analyze(signal[:n])
    assert _spans(report) == pytest.approx(_spans(wanted), abs=FRAME_S + 1e-6)
    for emotion, probability in wanted.probabilities.items():
        assert report.probabilities[emotion] == pytest.approx(probability, abs=0.02)
    # Codecs pad the last frame.
    assert report.duration_s == pytest.approx(case.duration_s, abs=0.065)
    assert report.channels == case.channels
    assert report.track == case.track
    found = [t for gap in report.gaps for t in (gap.start_s, gap.end_s)]
    assert found == pytest.approx(np.ravel(case.gaps).tolist(), abs=0.01)
    # Some cases are telephone sound, or narrow for another reason.
    warnings = [w for w in report.warnings if "narrow band" not in w]
    if case.warning:
        (warning,) = warnings
        assert case.warning in warning
    else:
        assert warnings == []


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.places], ids=lambda case: case.name
)
def test_its_speech_is_where_the_clean_recording_has_it(report_of, case):
    begin_s, end_s = case.cut_s
    # Other codecs can tear speech at a short pause, never move it.
    clean = _without_pauses(report_of(CLEAN))
    wanted = [
        # Speech that is cut at its beginning may be found late.
        (None if first < begin_s else first + place, min(end_s, last) + place)
        for place in case.places
        for first, last in clean
        if first < end_s
    ]

    found = _without_pauses(report_of(case.name))

    for (first, last), (found_first, found_last) in zip(wanted, found, strict=True):
        if first is not None:
            # A faint beginning is found or not, by what came before.
            assert found_first == pytest.approx(first - 0.23, abs=0.23 + 2 * FRAME_S)
        assert found_last == pytest.approx(last, abs=2 * FRAME_S + 1e-6)


def test_what_follows_a_gap_is_later_by_it(report_of):
    *_, clean = _without_pauses(report_of(CLEAN))

    *_, found = _without_pauses(report_of("gap-of-10s.webm"))

    assert found == pytest.approx([t + 10.0 for t in clean], abs=2 * FRAME_S)


def _without_pauses(report, longest_s=0.6):
    """Return begin and end of stretches of speech, joined across short pauses."""
    joined = []
    for segment in report.segments:
        if joined and segment.start_s - joined[-1][1] <= longest_s:
            joined[-1] = joined[-1][0], segment.end_s
        else:
            joined.append((segment.start_s, segment.end_s))
    return joined


def _spans(report):
    return [t for segment in report.segments for t in (segment.start_s, segment.end_s)]
