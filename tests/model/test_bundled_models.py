"""Each bundled model against golden values, which the browser's tests read too."""

import json

import numpy as np
import pytest

from espressivo.audio.recording import load_audio
from espressivo.model.classifier import load_classifier
from espressivo.model.find import bundled_models, find_model
from tests.conftest import ROOT

GOLDENS = ROOT / "web" / "test" / "goldens"
GOLDEN = json.loads((GOLDENS / "models.json").read_text("utf-8"))
# Processors add in other orders, and 8 bits make steps of it (docs/results/browser.md).
APART = 0.02


def test_every_bundled_model_has_its_goldens():
    assert sorted(GOLDEN["found"]) == bundled_models()


@pytest.mark.parametrize("name", bundled_models())
def test_a_bundled_model_says_what_it_said(name):
    note = load_audio(GOLDENS / "note.wav")
    classifier = load_classifier(find_model(name))

    for (start, n, gain), row in zip(
        GOLDEN["windows"], GOLDEN["found"][name], strict=True
    ):
        window = np.float32(gain) * note[np.newaxis, start : start + n]
        for output, wanted in row.items():
            (found,) = classifier.run(window, output)[0]
            assert np.abs(found - wanted).max() < APART, (output, start, n, gain)
