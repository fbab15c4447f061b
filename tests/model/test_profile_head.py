"""Profiles through the analyzer, with the bundled model and real speech."""

from __future__ import annotations

import hashlib
import json
import shutil

import jsonschema
import numpy as np
import pytest

import espressivo
from espressivo.audio.recording import load_audio
from espressivo.cli.main import main
from espressivo.errors import ModelError
from espressivo.model.classifier import load_classifier
from espressivo.model.find import (
    DEFAULT,
    find_model,
)
from espressivo.model.speaker_statistics import (
    SpeakerStatistics,
    features_of,
)
from espressivo.profile.profile import Profile
from tests.conftest import NOTE, ROOT


@pytest.fixture(scope="module")
def empty(analyzer):
    return Profile.new("me", analyzer.classifier)


@pytest.fixture(scope="module")
def known(analyzer, empty):
    """A profile that was made from the note once."""
    report = analyzer.with_profile(empty).analyze(NOTE)
    return empty.merged(report)


def actor(shared, number):
    """Clips of one actor of RAVDESS, eight of each emotion but for calm."""
    folder = shared / "corpora" / "ravdess"
    paths = sorted(folder.glob(f"**/03-01-0[1345]-*-{number:02}.*"))
    assert len(paths) >= 28
    return [load_audio(path) for path in paths]


def test_an_empty_profile_gives_the_plain_answer(analyzer, empty):
    plain = analyzer.analyze(NOTE)
    report = analyzer.with_profile(empty).analyze(NOTE)

    assert report.estimates == plain.estimates
    assert report.profile.without == plain.estimates
    assert (report.profile.trust, report.change) == (0.0, 0.0)
    assert report.profile.fits is None
    assert (plain.profile, plain.speaker_statistics) == (None, None)


def test_a_profile_changes_the_answer_and_says_by_how_much(analyzer, known):
    plain = analyzer.analyze(NOTE)
    report = analyzer.with_profile(known).analyze(NOTE)

    use = report.profile
    assert report.estimates != plain.estimates
    assert use.without == plain.estimates
    assert (use.speaker, use.n_recordings, use.n_windows) == ("me", 1, 4)
    assert use.speech_s == pytest.approx(known.speech_s)
    assert 0 < use.trust < 1
    assert use.fits
    assert use.distance < 1
    before, now = report.probabilities_without, report.probabilities
    assert before == plain.probabilities
    moved = sum(abs(now[e] - before[e]) for e in now) / 2
    assert report.change == pytest.approx(moved)
    assert 0 < report.change < 1
    for estimate in report.estimates:
        assert sum(estimate.probabilities) == pytest.approx(1, abs=1e-5)


def test_what_is_learned_are_the_models_own_numbers(analyzer, empty):
    report = analyzer.with_profile(empty).analyze(NOTE)
    signal = load_audio(NOTE)
    windows = [signal[e.segment.start : e.segment.end] for e in report.estimates]
    pairs = [analyzer.classifier.embed(window[None]) for window in windows]
    features = np.concatenate([features_of(embedding, p) for p, embedding in pairs])

    voice = report.speaker_statistics
    assert (voice.n_windows, voice.n_recordings) == (len(windows), 1)
    assert voice.n_samples == sum(len(window) for window in windows)
    np.testing.assert_allclose(voice.mean, features.mean(0), atol=1e-4)
    np.testing.assert_allclose(voice.variance, features.var(0), atol=1e-3)


@pytest.mark.parametrize(
    "options", [{"threads": 1}, {"batch_size": 1}, {"batch_size": 7}, {"threads": 5}]
)
def test_neither_threads_nor_batches_change_what_is_learned(analyzer, known, options):
    wanted = analyzer.with_profile(known).analyze(NOTE)
    other = espressivo.Analyzer(analyzer.classifier, profile=known, **options)
    found = other.analyze(NOTE, block_s=1.0)

    assert found.to_dict() == wanted.to_dict()
    np.testing.assert_allclose(
        found.speaker_statistics.mean, wanted.speaker_statistics.mean, atol=1e-5
    )


def test_without_speech_there_is_nothing_to_learn(analyzer, known):
    report = analyzer.with_profile(known).analyze(np.zeros(64_000, np.float32))

    assert (
        report.speaker_statistics.n_windows
        == report.speaker_statistics.n_recordings
        == 0
    )
    assert report.emotion is None
    assert report.profile.fits is None
    assert report.to_dict()["profile"]["probabilities_without"] is None
    np.testing.assert_array_equal(
        known.merged(report).speaker_statistics.mean, known.speaker_statistics.mean
    )


def test_json_tells_of_the_profile_as_its_schema_says(analyzer, empty, known):
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8"))
    silence = np.zeros(64_000, np.float32)
    for profile in (None, empty, known):
        for recording in (NOTE, silence):
            report = analyzer.with_profile(profile).analyze(recording)
            jsonschema.validate(report.to_dict(), schema)
    use = analyzer.with_profile(known).analyze(NOTE).to_dict()["profile"]
    assert use["n_recordings"] == 1
    assert sum(use["probabilities_without"].values()) == pytest.approx(1, abs=1e-9)


def test_one_actor_fits_the_own_profile_and_the_other_does_not(shared, analyzer):
    # A woman and a man: the easy case; docs/results/accuracy.md has how often it holds.
    head = analyzer.classifier.require_profile_head()
    voices = []
    for number in (1, 2):
        voice = SpeakerStatistics.empty(head.card.width + 5)
        parts = []
        for signal in actor(shared, number):
            plain, embedding = analyzer.classifier.embed(signal[None])
            (features,) = features_of(embedding, plain)
            parts.append(
                SpeakerStatistics.empty(len(features)).with_window(
                    features, len(signal)
                )
            )
            voice = voice.merged(parts[-1])
        voices.append((voice, parts))
    (his, his_clips), (her, her_clips) = voices
    limit = head.card.distance_limit

    def share(clips, voice):
        return np.mean([head.distance(clip, voice) > limit for clip in clips])

    assert max(share(his_clips, his), share(her_clips, her)) <= 0.1
    assert min(share(his_clips, her), share(her_clips, his)) >= 0.5


def test_a_voice_that_does_not_fit_is_warned_of(shared, analyzer, empty):
    profile = empty
    clips = actor(shared, 2)
    for clip in clips[:20]:
        profile = profile.merged(analyzer.with_profile(profile).analyze(clip))

    report = analyzer.with_profile(profile).analyze(np.concatenate(actor(shared, 1)))

    (warning,) = report.warnings
    assert "the voice does not fit profile 'me'" in warning
    assert report.profile.fits is False
    assert report.profile.distance > report.profile.distance_limit
    assert not analyzer.with_profile(profile).analyze(clips[20]).warnings


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model, to break."""
    return shutil.copytree(find_model(DEFAULT), tmp_path / "model")


def change_card(folder, **changes):
    path = folder / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card["profile"] |= changes
    path.write_text(json.dumps(card), "utf-8")


def test_a_missing_or_altered_part_is_refused(folder):
    part = folder / "profile.onnx"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    classifier = load_classifier(folder)  # of use without
    with pytest.raises(ModelError, match=r"profile\.onnx: sha256 is .* altered or cut"):
        classifier.require_profile_head()
    assert main(["models", "verify", str(folder)]) == 1
    part.unlink()
    with pytest.raises(ModelError, match=r"profile\.onnx cannot be read"):
        Profile.new("me", load_classifier(folder))


def test_a_part_that_is_another_graph_is_refused(folder):
    graph = (folder / "model.onnx").read_bytes()
    (folder / "profile.onnx").write_bytes(graph)
    change_card(folder, sha256=hashlib.sha256(graph).hexdigest())

    with pytest.raises(ModelError, match="takes samples and gives probabilities, emb"):
        load_classifier(folder).require_profile_head()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 7}, r"gives no `embedding` \[batch, 7\]"),
        ({"width": "wide"}, "export the model again"),
        ({"distance_limit": None}, "export the model again"),
    ],
)
def test_a_card_that_says_something_else_is_refused(folder, changes, reason):
    change_card(folder, **changes)

    with pytest.raises(ModelError, match=reason):
        load_classifier(folder)
