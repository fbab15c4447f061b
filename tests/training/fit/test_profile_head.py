from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from espressivo.errors import ExportError, TrainingError
from espressivo.model.speaker_statistics import features_of
from espressivo.training.config import ProfileConfig
from espressivo.training.export.graph.profile_head import (
    profile_head_graph,
    with_embedding,
)
from espressivo.training.export.session import open_proto
from espressivo.training.fit.profile_fit import fit_profile_classifier
from espressivo.training.fit.profile_head import (
    ProfileClassifier,
)
from espressivo.training.fit.speaker_means import (
    speaker_axes,
    speaker_means,
)
from espressivo.training.scores.temperature import softmax

WIDTH, CORPORA, PER_CORPUS, PER_EMOTION = 12, 2, 6, 8
rng = np.random.default_rng(0)
EMOTIONS = 2.0 * rng.normal(size=(4, WIDTH))
VOICES = 1.5 * rng.normal(size=(WIDTH, WIDTH))[:6]  # voices differ in six directions
PLAIN = EMOTIONS - EMOTIONS.mean(0)


def speakers(n, seed):
    """Clips of speakers who differ much more than emotions do: rows, labels, names."""
    rng = np.random.default_rng(seed)
    baselines = rng.normal(size=(n, 6)) @ VOICES
    labels = np.tile(np.repeat(np.arange(4), PER_EMOTION), n)
    index = np.repeat(np.arange(n), 4 * PER_EMOTION)
    noise = rng.normal(size=(len(labels), WIDTH))
    rows = EMOTIONS[labels] + baselines[index] + noise
    return rows, labels, [f"{seed}/{i:02}" for i in index.tolist()]


@pytest.fixture(scope="module")
def head():
    parts = [speakers(PER_CORPUS, seed) for seed in range(CORPORA)]
    rows, labels, names = zip(*parts, strict=True)
    return fit_profile_classifier(
        np.concatenate(rows),
        np.concatenate(labels),
        [f"corpus {i}" for i, part in enumerate(names) for _ in part],
        [name for part in names for name in part],
        plain=PLAIN,
        config=ProfileConfig(fit=True),
    )


def plain_of(rows, temperature=2.0):
    return softmax(rows @ PLAIN.T, temperature)


def recall(labels, probabilities):
    return np.mean(
        [(probabilities[labels == k].argmax(1) == k).mean() for k in range(4)]
    )


def profile(rows):
    return np.array([[len(rows)]]), features_of(rows, plain_of(rows)).mean(0)[None]


def test_knowing_a_voice_undoes_what_is_the_voices_own(head):
    rows, labels, names = speakers(10, seed=9)  # none of whom trained
    before, after = [], []
    for name in sorted(set(names)):
        own = np.array(names) == name
        x, y = rows[own], labels[own]
        plain = plain_of(x)
        before.append(recall(y, plain))
        after.append(recall(y, head.probabilities(x, plain, *profile(x), 2.0)))

    assert np.mean(before) < 0.65
    assert np.mean(after) > 0.85


def test_without_history_the_answer_is_the_plain_one(head):
    rows, _, _ = speakers(2, seed=3)
    plain = plain_of(rows)
    nothing = np.zeros((1, 1)), np.zeros((1, WIDTH + 5))

    found = head.probabilities(rows, plain, *nothing, 2.0)

    np.testing.assert_allclose(found, plain, atol=1e-9)


def test_the_longer_a_history_the_more_it_counts(head):
    rows, _, _ = speakers(1, seed=4)
    plain, (_, traits) = plain_of(rows), profile(rows)
    known = head.probabilities(rows, plain, np.array([[1e9]]), traits, 2.0)
    distances = [
        np.abs(
            head.probabilities(rows, plain, np.array([[n]]), traits, 2.0) - known
        ).sum()
        for n in (0, 1, 3, 10, 100)
    ]

    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.1 * distances[0]


def test_a_history_counts_as_far_as_its_emotions_are_even(head):
    rows, labels, _ = speakers(1, seed=5)
    plain = np.full((len(rows), 4), 0.01) + 0.96 * np.eye(4)[labels]  # knows as much
    traits, changes, trusts = features_of(rows, plain), [], []
    for emotions in ([0], [0, 3], [0, 2, 3], [0, 1, 2, 3]):
        heard = np.isin(labels, emotions)
        known = np.array([[heard.sum()]]), traits[heard].mean(0)[None]
        trusts.append(head.trust(*known)[0].item())
        found = head.probabilities(rows, plain, *known)
        changes.append(np.abs(found - plain).mean())

    assert trusts == sorted(trusts)
    assert trusts[0] == pytest.approx(0, abs=1e-6)
    assert changes[0] == pytest.approx(0, abs=1e-6)
    assert trusts[-1] > 0.9


def test_of_what_is_one_sided_the_emotions_are_taken_out(head):
    # Anger and a little of all else: half even, and the mean is mostly anger's.
    rows, labels, _ = speakers(1, seed=5)
    plain = np.full((len(rows), 4), 0.01) + 0.96 * np.eye(4)[labels]
    traits = features_of(rows, plain)
    weights = np.where(labels == 0, 8.0, 1.0)
    count, uneven = np.array([[32.0]]), np.average(traits, axis=0, weights=weights)
    even = head.probabilities(rows, plain, count, traits.mean(0)[None])

    def error(discount):
        tried = replace(head, discount=discount)
        return np.abs(
            tried.probabilities(rows, plain, count, uneven[None]) - even
        ).mean()

    assert error(1.0) < error(0.0)


def test_distances_tell_voices_apart(head):
    rows, _, names = speakers(8, seed=6)
    names = np.array(names)
    own, others = [], []
    for name in np.unique(names).tolist():
        mean, count = rows[names == name].mean(0), np.array([[32.0]])
        own.append(head.distances(rows[names == name], count, mean))
        others.append(head.distances(rows[names != name], count, mean))

    assert np.mean(np.concatenate(own) > head.distance_limit) < 0.1
    assert np.mean(np.concatenate(others) > head.distance_limit) > 0.9
    nobody = np.zeros((1, 1))
    assert not head.distances(rows, nobody, np.zeros((1, WIDTH))).any()


def test_on_its_axes_recordings_of_one_voice_have_variance_one():
    rows, _, names = speakers(6, seed=7)
    names = np.array(names)
    axes = speaker_axes(rows, np.array(["corpus"] * len(rows)), names)
    projected = rows @ axes.T
    within = [projected[names == n].var(0) for n in np.unique(names)]

    assert axes.shape == (5, WIDTH)
    np.testing.assert_allclose(np.mean(within, axis=0), 1, rtol=1e-6)


def test_a_baseline_counts_all_emotions_alike():
    rows = np.array([[0.0], [0.0], [0.0], [4.0], [10.0]])
    labels = np.array([0, 0, 0, 1, 0])
    names = np.array(["a", "a", "a", "a", "b"])

    np.testing.assert_allclose(speaker_means(rows, labels, names), [[2.0], [10.0]])


@pytest.mark.parametrize("one_for_all", [True, False])
def test_the_graph_computes_what_was_fitted(head, one_for_all):
    rows, _, _ = speakers(2, seed=8)
    plain, traits = plain_of(rows), features_of(rows, plain_of(rows))
    n = 1 if one_for_all else len(rows)
    count = np.arange(5, n + 5)[:, None] % 7.0
    mean = (traits.cumsum(0) / np.arange(1, len(rows) + 1)[:, None])[::-1][:n]
    session = open_proto(profile_head_graph(head, 2.0, "head"))
    given = {
        "embedding": rows,
        "probabilities": plain,
        "count": count,
        "traits": mean,
    }

    personal, distance, trust = session.run(
        ["personal", "distance", "trust"],
        {name: value.astype(np.float32) for name, value in given.items()},
    )

    wanted = head.probabilities(rows, plain, count, mean, 2.0)
    np.testing.assert_allclose(personal, wanted, atol=2e-5)
    np.testing.assert_allclose(
        distance, head.distances(rows, count, mean[:, :WIDTH]), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(trust, head.trust(count, mean)[0], atol=2e-6)
    assert trust.max() > 0


def test_what_is_written_is_read(head, tmp_path):
    path = tmp_path / "profile.safetensors"
    head.write(path)
    found = ProfileClassifier.read(path)

    rows, _, _ = speakers(1, seed=1)
    plain = plain_of(rows)
    np.testing.assert_array_equal(
        found.probabilities(rows, plain, *profile(rows)),
        head.probabilities(rows, plain, *profile(rows)),
    )
    assert found.distance_limit == head.distance_limit
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="is not what training with"):
        ProfileClassifier.read(path)


def test_speakers_without_all_emotions_teach_nothing():
    rows, labels, names = speakers(4, seed=2)
    last = np.array([name.endswith("03") for name in names])
    kept = ~(last & (labels == 3))
    corpora = ["corpus"] * len(rows)
    whole = ~last

    def fit(which):
        return fit_profile_classifier(
            rows[which],
            labels[which],
            np.array(corpora)[which].tolist(),
            np.array(names)[which].tolist(),
            plain=PLAIN,
            config=ProfileConfig(),
        )

    np.testing.assert_array_equal(fit(kept).weight, fit(whole).weight)
    with pytest.raises(TrainingError, match="2 of 3 speakers have utterances of all"):
        fit(kept & np.array([not name.endswith("02") for name in names]))


def test_a_graph_without_an_embedding_is_not_given_one():
    node = helper.make_node("Identity", ["samples"], ["probabilities"], "p")
    shape = [
        helper.make_tensor_value_info(n, 1, [1, 4])
        for n in ("samples", "probabilities")
    ]
    graph = helper.make_graph([node], "g", shape[:1], shape[1:])

    with pytest.raises(ExportError, match="no value named `embedding`"):
        with_embedding(onnx.helper.make_model(graph), 4)
