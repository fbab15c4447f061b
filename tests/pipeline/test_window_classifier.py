"""Estimates adapted to a speaker, to a setting, and to the recording itself."""

from __future__ import annotations

import json
import math

import jsonschema
import numpy as np
import pytest

from espressivo.analyzer import Analyzer
from espressivo.audio.recording import load_audio
from espressivo.model.adaptation import adapt, infer
from espressivo.model.window_statistics import WindowStatistics
from espressivo.profile.profile import Profile
from espressivo.types import to_rows
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def model(analyzer):
    return analyzer.classifier


@pytest.fixture(scope="module")
def heard(model, note):
    """The note's report, with voices and without adaptation."""
    return Analyzer(model, voices=True).analyze(note)


@pytest.fixture(scope="module")
def me(model, heard):
    return Profile.new("me", model).merged(heard)


@pytest.fixture(scope="module")
def room(model, heard, read_speech):
    spoken = Analyzer(model, voices=True).analyze(read_speech)
    return Profile.new("room", model, "setting").merged(heard, spoken)


def probabilities(report):
    return to_rows(report.estimates)


def test_without_a_history_it_is_the_plain_model_to_the_last_bit(analyzer, model, note):
    plain = analyzer.analyze(note)
    nobody = Profile.new("me", model)
    nowhere = Profile.new("room", model, "setting")

    for profile, setting in ((nobody, None), (None, nowhere), (nobody, nowhere)):
        report = analyzer.with_profile(profile, setting).analyze(note)
        assert report.estimates == plain.estimates
        use = report.adaptation
        assert use.without == plain.estimates
        assert (use.weight, use.offset, report.change) == (0.0, 0.0, 0.0)
        assert use.deviation == use.prior_deviation > 0
        assert use.fits is None
    assert (plain.adaptation, plain.statistics, plain.voices) == (None, None, None)


def test_voices_are_those_of_the_windows_and_change_no_estimate(
    analyzer, model, note, heard
):
    assert heard.estimates == analyzer.analyze(note).estimates
    assert heard.adaptation is None

    rows = [
        model.run(note[None, e.segment.start : e.segment.end], "voice")[0][0]
        for e in heard.estimates
    ]
    np.testing.assert_allclose(heard.voices, rows, atol=1e-5)
    card = model.require_adaptation()
    assert heard.voices.shape == (len(heard.estimates), card.n_columns)
    assert (
        (heard.voices[:, card.n_dims] >= 0) & (heard.voices[:, card.n_dims] <= 1)
    ).all()


def test_statistics_are_those_of_the_voices(model, heard):
    card = model.require_adaptation()
    wanted = WindowStatistics.empty(card.n_dims, card.n_axes)
    for voice, estimate in zip(heard.voices, heard.estimates, strict=True):
        wanted = wanted.with_window(voice, estimate.segment.n_samples)

    found = heard.statistics
    assert (found.n_windows, found.n_samples) == (wanted.n_windows, wanted.n_samples)
    assert found.n_recordings == 1
    for name in ("cells", "weights", "sums", "mean", "scatter"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_estimates_are_what_the_posterior_says(model, note, heard, me, room):
    report = Analyzer(model, profile=me, setting=room).analyze(note)

    card = model.require_adaptation()
    posterior = infer(card, me.statistics, room.statistics)
    plain = probabilities(heard).astype(np.float32)
    wanted = adapt(card, posterior, plain, heard.voices)
    np.testing.assert_allclose(probabilities(report), wanted, atol=1e-6)
    use = report.adaptation
    n = posterior.weight
    assert use.weight == pytest.approx(n / (n + card.patience))
    assert use.offset == pytest.approx(math.hypot(*posterior.offset))
    assert use.deviation == pytest.approx(posterior.deviation)
    assert use.deviation < use.prior_deviation
    assert use.n_recordings == 3
    assert use.n_windows == me.statistics.n_windows + room.statistics.n_windows
    assert use.distance == pytest.approx(0, abs=1e-9)  # it is made from this note
    assert report.warnings == ()


def test_a_recording_by_itself_is_one_with_a_profile_of_itself(
    analyzer, model, note, heard, me
):
    adapted = Analyzer(model, adapt=True).analyze(note)
    mine = analyzer.with_profile(me).analyze(note)

    assert adapted.estimates == mine.estimates
    assert adapted.adaptation.without == heard.estimates
    assert adapted.change == mine.change > 0
    use = adapted.adaptation
    assert (use.speaker, use.setting, use.recording) == (None, None, True)
    assert (use.n_windows, use.distance) == (len(heard.estimates), None)


def test_a_recording_and_a_profile_are_one_history(model, note, heard, me, read_speech):
    both = Analyzer(model, profile=me, adapt=True).analyze(read_speech)

    spoken = Analyzer(model, voices=True).analyze(read_speech)
    card = model.require_adaptation()
    posterior = infer(card, me.statistics.merged(spoken.statistics))
    wanted = adapt(
        card, posterior, probabilities(spoken).astype(np.float32), spoken.voices
    )
    np.testing.assert_allclose(probabilities(both), wanted, atol=1e-6)
    assert both.adaptation.n_recordings == 2


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 2), (100, 4)])
def test_batches_and_threads_change_nothing(model, note, batch_size, threads):
    options = {"batch_size": batch_size, "threads": threads, "adapt": True}

    found = Analyzer(model, **options).analyze(note)

    wanted = Analyzer(model, adapt=True).analyze(note)
    np.testing.assert_allclose(probabilities(found), probabilities(wanted), atol=1e-5)


def test_without_speech_nothing_is_known_and_nothing_learned(model, me):
    silence = np.zeros(32_000, np.float32)

    report = Analyzer(model, profile=me, adapt=True).analyze(silence)

    assert report.probabilities is None
    assert report.statistics.n_windows == report.statistics.n_recordings == 0
    assert len(report.voices) == 0
    assert report.adaptation.distance is None
    assert report.to_dict()["adaptation"]["probabilities_without"] is None
    alone = Analyzer(model, adapt=True).analyze(silence)
    assert alone.adaptation.weight == 0


def test_noise_stays_uncertain_whoever_speaks(model, shared, me, room):
    """A profile must not make certain what the plain model says is no emotion."""
    card = model.require_adaptation()
    sounds = [load_audio(path) for path in sorted((shared / "noise").rglob("*.ogg"))]
    names = "probabilities", "voice"
    pairs = [model.run(sound[None, : model.card.window], *names) for sound in sounds]
    plain, voices = (np.concatenate(each) for each in zip(*pairs, strict=True))

    for histories in (
        (me.statistics, None),
        (None, room.statistics),
        (me.statistics, room.statistics),
    ):
        adapted = adapt(card, infer(card, *histories), plain, voices)
        uncertain = [model.card.certainty.is_uncertain(row) for row in adapted.tolist()]
        assert len(uncertain) == 60
        assert np.mean(uncertain) >= 0.95


def test_reports_follow_the_schema(model, note, me, room):
    schema = json.loads((ROOT / "docs/report.schema.json").read_text("utf-8"))

    for options in (
        {"profile": me},
        {"setting": room},
        {"adapt": True},
        {"profile": me, "setting": room, "adapt": True},
        {"voices": True},
    ):
        document = json.loads(Analyzer(model, **options).analyze(note).to_json())
        jsonschema.validate(document, schema)
        assert (document["adaptation"] is None) == ("voices" in options)


def test_a_profile_can_be_named_by_its_file(analyzer, tmp_path):
    path = Profile.new("me", analyzer.classifier).save(tmp_path / "me.json")

    for given in (path, str(path)):
        assert Analyzer(analyzer.classifier, profile=given).profile.name == "me"
        assert analyzer.with_profile(given).profile.name == "me"
    with pytest.raises(TypeError, match="is of type int; wanted a Profile, its"):
        Analyzer(analyzer.classifier, profile=3)
