"""The sounds that `research.strangers.noises` gives to models."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from espressivo.model.classifier import load_classifier
from espressivo.model.find import DEFAULT, find_model
from espressivo.types import SAMPLE_RATE
from research.strangers import noises


def test_sounds_are_what_a_model_takes_and_always_the_same(shared):
    sounds = noises.sounds(shared / "noise")
    again = noises.sounds(shared / "noise")

    assert len(sounds["recordings"]) == 60
    assert len(sounds["of these, no part of training copies"]) == 30
    for kind, signals in sounds.items():
        for signal, same in zip(signals, again[kind], strict=True):
            assert signal.dtype == np.float32
            assert SAMPLE_RATE / 2 <= len(signal) <= 8 * SAMPLE_RATE
            assert np.abs(signal).max() <= 1
            np.testing.assert_array_equal(signal, same)


def test_pieces_of_music_differ_and_begin_no_click():
    pieces = [*noises.music()]

    assert len({piece.tobytes() for piece in pieces}) == len(pieces) == 20
    for piece in pieces:
        assert len(piece) == noises.LONGEST
        assert np.abs(piece).max() == pytest.approx(0.5)
        assert abs(piece[0]) < 0.25


def test_a_tone_has_its_harmonics_and_no_others():
    powers = np.abs(np.fft.rfft(noises.tone(100, SAMPLE_RATE, 3)))

    assert np.flatnonzero(powers > 0.01 * powers.max()).tolist() == [100, 200, 300]
    assert powers[200] / powers[100] == pytest.approx(1 / 2, rel=0.01)


def test_a_row_counts_what_is_below_the_threshold():
    classifier = load_classifier(find_model(DEFAULT))
    rows = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.7, 0.1, 0.1]], np.float32)

    cells = noises.row("x", rows, 0.55, classifier).strip("|").split(" | ")

    assert [cell.strip() for cell in cells[:3]] == ["x", "2", "50%"]
    first, second = classifier.card.emotions[:2]
    assert cells[-1].strip() == f"0.70: {first} 1, {second} 1"


def test_the_command_prints_a_row_for_each_kind(shared, monkeypatch, capsys):
    noise = str(shared / "noise")
    monkeypatch.setattr(sys, "argv", ["noises", "espressivo-tiny", "--noise", noise])
    noises.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("espressivo-tiny")
    assert len(lines) == 4 + len(noises.sounds(shared / "noise"))
