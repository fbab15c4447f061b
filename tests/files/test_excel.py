from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.files.excel import to_excel

BREAKS = ("\t", "\r", "\n")
ACTING = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def to_text(rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000 ", *BREAKS])
@pytest.mark.parametrize("acting", [*ACTING, ""])
def test_what_would_be_a_formula_is_text(before, acting):
    if not acting and before not in BREAKS:
        before = "="
    cell = f"{before}{acting}cmd|' /C calc'!A0"

    ((found,),) = read(to_excel(to_text([[cell]]), first=False))

    assert found == f"'{cell}"


@pytest.mark.parametrize("number", ["-0.5", "+3", "1e-05", "-1.5E+10", "0", "7.081"])
def test_numbers_stay_numbers(number):
    assert read(to_excel(f"{number}\n", first=False)) == [[number]]


@pytest.mark.parametrize("word", ["-inf", "-1_0", "+1+1", "-0.5 dB", "=1", "-.wav"])
def test_what_only_begins_as_a_number_is_text(word):
    assert read(to_excel(f"{word}\n", first=False)) == [[f"'{word}"]]


def test_the_mark_begins_a_file_once():
    assert to_excel("a,b\n").encode().startswith(b'\xef\xbb\xbf"a","b"\r\n')
    assert to_excel("a,b\n", first=False) == '"a","b"\r\n'


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4))
def test_no_cell_acts_and_nothing_else_changes(rows):
    text = to_excel(to_text(rows))

    found = read(text.removeprefix("\ufeff"))

    for row, marked in zip(read(to_text(rows)), found, strict=True):
        for cell, new in zip(row, marked, strict=True):
            assert new in (cell, f"'{cell}")
            assert not new.lstrip().startswith(("=", "@", "\uff1d"))
