from __future__ import annotations

import json

import numpy as np
import pytest

from espressivo.model.classifier import load_classifier
from espressivo.model.find import (
    DEFAULT,
    find_model,
)
from espressivo.training.corpora import read_corpus
from espressivo.training.scores.metrics import score
from research.profiles.__main__ import main
from research.profiles.histories import HistoryKind
from research.profiles.report import ProfileCase, gains, to_markdown
from research.profiles.study import (
    ClipPredictions,
    mismatch_rates,
    predict_clips,
    score_histories,
)
from tests.recordings import encode

N = 4 * 10 * 3


@pytest.fixture(scope="module")
def clips():
    """Three speakers; the plain model is right about most."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4), N // 4)
    logits = rng.normal(size=(N, 4)) + 1.5 * np.eye(4)[labels]
    plain = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return ClipPredictions(
        labels=labels,
        speakers=tuple(f"s{i * 3 // N}" for i in range(N)),
        embeddings=rng.normal(size=(N, 5)).astype(np.float32),
        plain=plain.astype(np.float32),
        calm=np.zeros(N, bool),
    )


def no_use(embeddings, plain, count, features):
    """Take a profile and make nothing of it."""
    return plain


def test_a_profile_that_does_nothing_changes_nothing(clips):
    cells = score_histories(clips, no_use, n_draws=2)

    wanted = score(clips.labels, clips.plain)
    for cell in cells:
        assert cell.ua == pytest.approx(wanted.ua, abs=1e-12)
        assert cell.ece == pytest.approx(wanted.ece, abs=1e-12)
        assert cell.difference.difference == pytest.approx(0, abs=1e-12)
        assert cell.interval.low < cell.ua < cell.interval.high


def test_every_clip_is_judged_whatever_the_history(clips):
    # An scorer that is right exactly where there is some history to judge by.
    truth = np.eye(4, dtype=np.float32)

    def by_count(embeddings, plain, count, features):
        some = np.broadcast_to(count > 0, (len(plain), 1))
        labels = clips.labels[: len(plain)]
        return np.where(some, truth[labels], truth[(labels + 1) % 4])

    cells = score_histories(clips, by_count, n_draws=1)

    for cell in cells:
        expected = 0.0 if cell.size == 0 else 1.0
        assert cell.ua == expected, cell


def test_sizes_beyond_what_there_is_are_told(clips):
    cells = score_histories(
        clips, no_use, kinds=[HistoryKind("one", (0,))], sizes=(5, 20), n_draws=1
    )

    five, twenty = cells
    assert five.n_mean == 5
    # Ten clips of each emotion; those of it have nine others.
    assert twenty.n_mean == pytest.approx(9.75)


def test_draws_of_a_speaker_do_not_depend_on_who_else_is_there(clips):
    alone = clips.select(np.array([s == "s1" for s in clips.speakers]))

    def first_trait(embeddings, plain, count, features):
        seen.append(features.sum())
        return plain

    found = []
    for predicted in (clips, alone):
        seen = []
        score_histories(
            predicted,
            first_trait,
            kinds=[HistoryKind("balanced")],
            sizes=(3,),
            n_draws=2,
        )
        found.append(seen)
    assert found[0][2:4] == found[1]


def test_suspicions_are_counted_of_clips_that_are_not_in_the_profile(clips):
    # A distance that knows the speaker: 0 of the own clips, 1 of all others.
    names = np.array(clips.speakers)

    def by_name(embeddings, plain, count, features):
        assert count == 10
        speaker = names[int(np.argmin(np.abs(marked - features[0, 0])))]
        return np.where(names == speaker, 0.0, 1.0)

    marked = np.array([int(name[1]) for name in names], np.float32)
    voices = clips.select(np.ones(N, bool))
    voices.embeddings[:, 0] = marked

    found = mismatch_rates(voices, by_name, 0.5, n_clips=10, n_draws=2)

    assert (found.n_clips, found.same, found.other) == (10, 0.0, 1.0)


def test_the_table_says_what_was_found(clips):
    cells = score_histories(clips, no_use, n_draws=1)
    case = ProfileCase(
        "Made up", {"name": "m", "sha256": "f" * 64}, N, 3, 1, tuple(cells)
    )

    text = to_markdown([case])

    assert "**Made up**: 120 clips of 3 speakers; m ffffffffffff" in text
    assert "| only anger and happiness |" in text
    assert "balanced, clip itself included" in text
    assert "[9.8]" in text
    assert set(gains([case]).values()) == {0.0}


def test_a_model_is_not_studied_on_what_it_heard(shared, tmp_path, capsys):
    corpus = str(shared / "corpora" / "emodb")

    code = main(["--case", "espressivo-tiny", "emodb", corpus, "--out", str(tmp_path)])

    assert code == 1
    assert "was trained on emodb" in capsys.readouterr().err
    assert not (tmp_path / "profiles.json").exists()


def test_a_study_of_recordings_writes_table_and_figure(tmp_path, capsys, note):
    from tests.training.runs_to_export import write_corpus

    manifest = write_corpus(tmp_path, note)
    out = tmp_path / "report"

    case = ["--case", "espressivo-tiny", "manifest", str(manifest)]
    code = main([*case, "--out", str(out), "--draws", "2"])

    assert code == 0
    found = json.loads((out / "profiles.json").read_text())
    (case,) = found["cases"]
    assert (case["clips"], case["speakers"]) == (16, 2)
    plain = {
        c["ua"] for c in case["cells"] if c["clips"] == 0 and not c["transductive"]
    }
    assert len(plain) == 1
    assert (out / "profiles.md").read_text() == capsys.readouterr().out.removesuffix(
        "\n"
    )
    assert (out / "profiles.png").stat().st_size > 10_000


def test_through_the_analyzer_clips_without_speech_are_left_out(tmp_path, note):
    from tests.training.runs_to_export import write_corpus

    manifest = write_corpus(tmp_path, note)
    encode(tmp_path / "3.wav", np.zeros(16_000, np.float32))
    utterances = read_corpus("manifest", manifest)

    whole = predict_clips(find_model(DEFAULT), utterances)
    predicted = predict_clips(find_model(DEFAULT), utterances, pipeline=True)

    assert len(whole.labels) == 16
    assert 8 < len(predicted.labels) < 16
    width = load_classifier(find_model(DEFAULT)).card.profile_head.width
    assert predicted.embeddings.shape == (len(predicted.labels), width)
    np.testing.assert_allclose(predicted.plain.sum(1), 1, atol=1e-5)
