"""Windows of a report as captions of players and labels of sound editors.

A caption is the emotion of a window, such as `anger 71%`, or
`uncertain (sadness 41%, neutral 38%)` below the model's threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from espressivo.report import Report

_LEAST_S = 0.001  # Praat refuses an interval without a duration


def to_srt(report: Report) -> str:
    """Return SubRip: numbered captions; empty without speech.

    Source: https://www.matroska.org/technical/subtitles.html#srt-subtitles
    """
    return "".join(
        f"{i}\n{_stamp(start, ',')} --> {_stamp(end, ',')}\n{text}\n\n"
        for i, (start, end, text) in enumerate(_captions(report), 1)
    )


def to_vtt(report: Report) -> str:
    """Return WebVTT, as `<track>` in a web page takes it.

    Source: https://www.w3.org/TR/webvtt1/
    """
    # No caption has a character that WebVTT would have escaped (&, <, >).
    cues = (
        f"\n{_stamp(start, '.')} --> {_stamp(end, '.')}\n{text}\n"
        for start, end, text in _captions(report)
    )
    return "WEBVTT\n" + "".join(cues)


def to_audacity(report: Report) -> str:
    """Return a label track of Audacity: start and end in seconds, and the label.

    Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    return "".join(
        f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in _captions(report)
    )


def to_textgrid(report: Report) -> str:
    """Return a TextGrid of Praat, in the long text format.

    Its interval tier `emotion` covers the whole recording; intervals without speech are
    empty.

    Source: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
    """
    intervals = _intervals(report)
    end = intervals[-1][1]
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0 \nxmax = {end} \ntiers? <exists> \nsize = 1 \nitem []: \n"
        '    item [1]:\n        class = "IntervalTier" \n        name = "emotion" \n'
        f"        xmin = 0 \n        xmax = {end} \n"
        f"        intervals: size = {len(intervals)} \n"
    )
    # No caption has a quotation mark, which would be doubled.
    return head + "".join(
        f"        intervals [{i}]:\n            xmin = {start} \n"
        f'            xmax = {end} \n            text = "{text}" \n'
        for i, (start, end, text) in enumerate(intervals, 1)
    )


def _captions(report: Report) -> list[tuple[float, float, str]]:
    """Return start and end in seconds, and the text, of each window."""
    return [
        (e.segment.start_s, e.segment.end_s, report.verdict_of(e))
        for e in report.estimates
    ]


def _intervals(report: Report) -> list[tuple[float, float, str]]:
    """Return the captions and what is between them, from 0 to the end, in order."""
    duration_s = max(report.duration_s, _LEAST_S)
    found: list[tuple[float, float, str]] = []
    at = 0.0
    for start, end, text in _captions(report):
        # Short windows are widened, and could reach into their neighbours.
        begin = max(start, at)
        if begin > at:
            found.append((at, begin, ""))
        found.append((begin, end, text))
        at = end
    if at < duration_s:
        found.append((at, duration_s, ""))
    return found


def _stamp(seconds: float, point: str) -> str:
    """Return a time as hours:minutes:seconds with three decimals.

    >>> _stamp(3661.5, ",")
    '01:01:01,500'
    """
    minutes, thousandths = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(thousandths, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{thousandths:03}"
