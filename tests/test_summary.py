from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.summary import summarize
from espressivo.types import SAMPLE_RATE, Emotion, Segment
from tests.conftest import ROOT

CASES = json.loads((ROOT / "tests" / "summaries.json").read_text("utf-8"))["cases"]

windows = st.lists(
    st.tuples(st.integers(1, 8), st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=60,
)


def told(windows, *, from_s=0, start_s=0):
    """Summary of consecutive windows: seconds, arousal or probabilities, uncertain."""
    spans, rows, uncertain = [], [], []
    for n_s, *found in windows:
        if found:
            value, is_uncertain = found
            start, end = start_s * SAMPLE_RATE, (start_s + n_s) * SAMPLE_RATE
            spans.append(Segment(start, end))
            rows.append(value)
            uncertain.append(is_uncertain)
        start_s += n_s
    has_arousal = bool(rows) and isinstance(rows[0], float)
    return summarize(
        spans,
        list(Emotion),
        [[0.25] * 4] * len(rows) if has_arousal else rows,
        uncertain,
        arousal=rows if has_arousal else None,
        duration_s=float(start_s),
        from_s=from_s,
    )


def windows_of(runs):
    return [
        (n_s, *((*found, False)[:2] if found else ()))
        for n, n_s, *found in runs
        for _ in range(n)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_sentences(case):
    found = told(windows_of(case["runs"]), from_s=case.get("from_s", 0))

    assert found == case["summary"]


@given(windows, st.data())
def test_a_window_cut_in_two_changes_nothing(windows, data):
    at = data.draw(st.integers(0, len(windows) - 1))
    n_s, *found = windows[at]
    halves = [(n_s, *found), (n_s, *found)]
    doubled = [(2 * n_s, *found) for n_s, *found in windows]

    assert told([*doubled[:at], *halves, *doubled[at + 1 :]]) == told(doubled)


@given(
    st.lists(st.floats(0, 0.35), min_size=8, max_size=30),
    st.lists(st.floats(0.65, 1), min_size=8, max_size=30),
)
def test_a_reversed_recording_has_the_reversed_summary(calm, animated):
    forwards = [(6, value, False) for value in [*calm, *animated]]

    change_s = 6 * len(calm)
    assert told(forwards) == (
        f"Calm at first, animated from {change_s // 60}:{change_s % 60:02}."
    )
    assert told(forwards[::-1]).startswith("Animated at first, calm from ")
