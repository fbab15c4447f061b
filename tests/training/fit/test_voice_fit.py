from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from espressivo.errors import ExportError, TrainingError
from espressivo.model.adaptation import adapt, distance, infer, spread
from espressivo.model.window_statistics import WindowStatistics
from espressivo.training.config import ProfileConfig
from espressivo.training.export.graph.voice import with_voice
from espressivo.training.fit.speaker_means import speaker_axes, speaker_means
from espressivo.training.fit.voice_fit import VoiceProjection, fit_voices

WIDTH, PER_EMOTION = 12, 6
NOISE, OFFSET, INTERACTION = 1.0, 2.0, 0.7  # standard deviations, of speakers
SETTING, TINT = 1.5, 0.5  # the same of corpora
EMOTIONS = 2.0 * np.random.default_rng(0).normal(size=(4, WIDTH))


def corpora_of(n_corpora, n_speakers, seed, setting=SETTING):
    """Clips of made-up corpora: rows, labels, corpora, speakers."""
    rng = np.random.default_rng(seed)
    rows, labels, corpora, speakers = [], [], [], []
    for c in range(n_corpora):
        room = setting * rng.normal(size=WIDTH) + TINT * rng.normal(size=(4, WIDTH))
        for s in range(n_speakers):
            own = OFFSET * rng.normal(size=WIDTH)
            own = own + INTERACTION * rng.normal(size=(4, WIDTH))
            y = np.repeat(np.arange(4), PER_EMOTION)
            noise = NOISE * rng.normal(size=(len(y), WIDTH))
            rows.append((EMOTIONS + room + own)[y] + noise)
            labels.append(y)
            corpora += [f"{seed}-{c}"] * len(y)
            speakers += [f"{seed}-{c}/{s}"] * len(y)
    return np.concatenate(rows), np.concatenate(labels), corpora, speakers


def fit(rows, labels, corpora, speakers):
    return fit_voices([rows], labels, corpora, speakers, ProfileConfig(fit=True))


@pytest.fixture(scope="module")
def projection():
    return fit(*corpora_of(12, 4, seed=1))


def test_the_card_holds_the_variances_that_the_voices_have():
    card = fit(*corpora_of(40, 4, seed=1)).card
    unit = np.eye(3)

    # Rows have the same variances in all directions, so voice vectors have too.
    for found, deviations in (
        (card.speaker, (OFFSET, INTERACTION)),
        (card.setting, (SETTING, TINT)),
    ):
        for covariance, deviation in zip(found, deviations, strict=True):
            # A mean of few clips, or of few speakers, varies by itself.
            assert np.trace(covariance) / 3 == pytest.approx(
                (deviation / NOISE) ** 2, rel=0.8
            )
            apart = covariance / (np.trace(covariance) / 3) - unit
            assert np.abs(apart).max() < 0.6


def test_windows_of_one_voice_and_emotion_have_unit_covariance(projection):
    rows, labels, _, speakers = corpora_of(30, 2, seed=5)  # none of which trained
    places = projection.voices(rows)[:, :3]
    names = np.array(speakers)
    inside = np.concatenate(
        [
            places[own] - places[own].mean(0)
            for name in np.unique(names)
            for k in range(4)
            if (own := (names == name) & (labels == k)).any()
        ]
    )
    covariance = inside.T @ inside / len(inside) * PER_EMOTION / (PER_EMOTION - 1)

    np.testing.assert_allclose(covariance, np.eye(3), atol=0.15)
    means = np.stack([places[labels == k].mean(0) for k in range(4)])
    np.testing.assert_allclose(means, projection.card.means, atol=1.2)


def test_what_is_added_to_all_of_a_speakers_clips_changes_no_direction(projection):
    rows, labels, corpora, speakers = corpora_of(12, 4, seed=1)
    index = np.unique(speakers, return_inverse=True)[1]
    moves = np.random.default_rng(2).normal(size=(index.max() + 1, WIDTH))
    moved = fit(rows + 5 * moves[index], labels, corpora, speakers)

    def planes(fitted):  # the directions span the same space, however they are turned
        basis = np.linalg.qr(fitted.weight[:3].T)[0]
        return basis @ basis.T

    np.testing.assert_allclose(planes(moved), planes(projection), atol=1e-8)


def test_units_and_origin_of_the_embedding_do_not_matter(projection):
    rows, labels, corpora, speakers = corpora_of(12, 4, seed=1)
    other = fit(1000 * rows + 300, labels, corpora, speakers)

    np.testing.assert_allclose(
        other.voices(1000 * rows + 300)[:, :4],
        projection.voices(rows)[:, :4],
        atol=1e-6,
    )
    np.testing.assert_allclose(other.card.setting, projection.card.setting, rtol=1e-6)
    assert other.card.distance_limit == pytest.approx(projection.card.distance_limit)
    assert other.card.spread_limit == pytest.approx(projection.card.spread_limit)


def statistics(voices):
    found = WindowStatistics.empty(3, voices.shape[1] - 4)
    for voice in voices:
        found = found.merged(WindowStatistics.of_window(voice, 3, 16_000))
    return found


def test_knowing_a_voice_undoes_what_is_the_voices_own(projection):
    rows, labels, _, speakers = corpora_of(10, 1, seed=9)
    voices, names = projection.voices(rows), np.array(speakers)
    even = np.full((len(rows), 4), 0.25, np.float32)  # all that it says is the voice's
    wrong, right = [], []
    for name in np.unique(names):
        own = names == name
        near = ((voices[own, None, :3] - projection.card.means) ** 2).sum(2).argmin(1)
        posterior = infer(projection.card, statistics(voices[own]))
        found = adapt(projection.card, posterior, even[own], voices[own])
        wrong.append((near == labels[own]).mean())
        right.append((found.argmax(1) == labels[own]).mean())

    assert np.mean(right) > np.mean(wrong) + 0.1
    assert np.mean(right) > 0.85


def test_limits_tell_voices_apart(projection):
    rows, _, _, speakers = corpora_of(1, 12, seed=6)
    voices, names = projection.voices(rows), np.array(speakers)
    card = projection.card
    own, others, alone, pairs = [], [], [], []
    for name in np.unique(names).tolist():
        profile = statistics(voices[names == name])
        alone.append(spread(profile))
        first = statistics(voices[names == name][:1])
        own.append(distance(first, profile))
        for other in np.unique(names[names != name]).tolist():
            apart = statistics(voices[names == other])
            others.append(distance(apart, profile))
            pairs.append(spread(profile.merged(apart)))

    assert np.mean(np.array(own) > card.distance_limit) < 0.2
    assert np.mean(np.array(alone) > card.spread_limit) < 0.2
    assert np.median(others) > np.median(own)
    assert np.mean(np.array(pairs) > card.spread_limit) > 0.5


def test_a_corpus_without_all_emotions_teaches_no_emotion():
    rows, labels, corpora, speakers = corpora_of(6, 3, seed=3)
    more, y, c, s = corpora_of(1, 5, seed=4)
    read = y == 2  # all neutral, at the origin of the others
    before = fit(rows, labels, corpora, speakers)

    after = fit(
        np.concatenate([rows, more[read]]),
        np.concatenate([labels, y[read]]),
        corpora + np.array(c)[read].tolist(),
        speakers + np.array(s)[read].tolist(),
    )

    np.testing.assert_allclose(
        np.abs(after.weight), np.abs(before.weight), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(after.card.setting[1], before.card.setting[1], rtol=1e-6)


def test_from_one_corpus_settings_differ_as_speakers_do():
    card = fit(*corpora_of(1, 20, seed=2, setting=0)).card

    np.testing.assert_array_equal(card.setting, card.speaker)
    assert np.trace(card.speaker[0]) / 3 == pytest.approx(OFFSET**2, rel=0.6)


def test_copies_are_centred_by_themselves():
    rows, labels, corpora, speakers = corpora_of(5, 3, seed=7)
    index = np.unique(speakers, return_inverse=True)[1]
    moves = np.random.default_rng(2).normal(size=(index.max() + 1, WIDTH))
    config = ProfileConfig(fit=True)
    one = fit_voices([rows, rows], labels, corpora, speakers, config)

    # A telephone that moves each speaker elsewhere is none of the emotions' business.
    moved = rows + moves[index] - moves.mean(0)
    other = fit_voices([rows, moved], labels, corpora, speakers, config)

    np.testing.assert_allclose(other.weight[:3], one.weight[:3], atol=1e-8)


def test_speakers_without_all_emotions_are_no_reference():
    rows, labels, corpora, speakers = corpora_of(1, 3, seed=2)
    last = np.array([name.endswith("/2") for name in speakers])
    kept = ~(last & (labels == 3))

    with pytest.raises(TrainingError, match="2 of 3 speakers have utterances of all"):
        fit_voices(
            [rows[kept]],
            labels[kept],
            np.array(corpora)[kept].tolist(),
            np.array(speakers)[kept].tolist(),
            ProfileConfig(),
        )


def test_speakers_must_be_comparable():
    with pytest.raises(TrainingError, match="no corpus has two speakers"):
        fit(*corpora_of(3, 1, seed=2))


def test_one_utterance_of_each_emotion_says_nothing_of_its_scatter():
    rows, labels, corpora, speakers = corpora_of(1, 5, seed=2)
    first = np.arange(len(rows)) % PER_EMOTION == 0

    with pytest.raises(TrainingError, match="too few utterances of each emotion"):
        fit(
            rows[first],
            labels[first],
            np.array(corpora)[first].tolist(),
            np.array(speakers)[first].tolist(),
        )


def test_what_is_written_is_read(projection, tmp_path):
    path = tmp_path / "adaptation.safetensors"
    projection.write(path)
    found = VoiceProjection.read(path)

    rows = corpora_of(1, 1, seed=1)[0]
    np.testing.assert_array_equal(found.voices(rows), projection.voices(rows))
    assert found.card.to_dict() == projection.card.to_dict()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="is not what training with"):
        VoiceProjection.read(path)


def test_on_its_axes_recordings_of_one_voice_have_variance_one():
    rows, _, corpora, speakers = corpora_of(1, 6, seed=7)
    names = np.array(speakers)
    axes = speaker_axes(rows, np.array(corpora), names)
    projected = rows @ axes.T
    within = [projected[names == n].var(0) for n in np.unique(names)]

    assert axes.shape == (5, WIDTH)
    np.testing.assert_allclose(np.mean(within, axis=0), 1, rtol=1e-6)


def test_a_speakers_mean_counts_all_emotions_alike():
    rows = np.array([[0.0], [0.0], [0.0], [4.0], [10.0]])
    labels = np.array([0, 0, 0, 1, 0])
    names = np.array(["a", "a", "a", "a", "b"])

    np.testing.assert_allclose(speaker_means(rows, labels, names), [[2.0], [10.0]])


def test_a_graph_without_an_embedding_is_given_no_voice(projection):
    node = helper.make_node("Identity", ["samples"], ["probabilities"], "p")
    shape = [
        helper.make_tensor_value_info(n, 1, [1, 4])
        for n in ("samples", "probabilities")
    ]
    graph = helper.make_graph([node], "g", shape[:1], shape[1:])

    with pytest.raises(ExportError, match="no value named `embedding`"):
        with_voice(onnx.helper.make_model(graph), projection)
