"""The study of domain adaptation in training: what is trained on, and the intervals."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("audiomentations", reason="needs the extra 'train'")

from espressivo.training.config import AdaptationConfig
from espressivo.training.corpora.utterance import Utterance
from espressivo.types import Emotion
from research.adaptation_training.__main__ import CORPORA
from research.adaptation_training.networks import Head
from research.adaptation_training.report import Corpus, measure
from research.adaptation_training.study import (
    HEAD_TRAINING,
    Part,
    Run,
    train_and_predict,
)

TARGET = AdaptationConfig("mixstyle", target="left-out")


def part_of(shift=0.0, seed=0):
    """40 clips of each corpus; the last corpus is moved by `shift`."""
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(1).standard_normal((4, 6))
    utterances, rows = [], []
    for corpus in CORPORA:
        for n in range(40):
            name = f"{corpus}/{n}"
            emotion = list(Emotion)[n % 4]
            utterances.append(
                Utterance(name, Path(name), f"{corpus}/{n % 5}", "", emotion, corpus)
            )
            moved = shift * (corpus == CORPORA[-1])
            row = centres[n % 4] + rng.standard_normal(6) + moved
            rows.append(row[None].astype(np.float32))
    training = replace(HEAD_TRAINING, epochs=10, draws=256, batch_size=64)
    build = partial(Head, 6, hidden=False)
    return Part("linear", utterances, rows, training, build)


def right(part, predicted, name=CORPORA[-1]):
    return np.mean(part.labels[part.corpora == name] == predicted)


def test_a_corpus_that_is_moved_is_better_known_by_its_unlabelled_clips():
    part = part_of(shift=3.0)
    plain = train_and_predict(part, Run(AdaptationConfig(), CORPORA[-1], 0))
    adapted = train_and_predict(part, Run(TARGET, CORPORA[-1], 0))
    centred = Run(AdaptationConfig(), CORPORA[-1], 0, centred=True)
    assert right(part, plain) < right(part, adapted)
    assert right(part, plain) + 0.1 < right(part, train_and_predict(part, centred))


@pytest.mark.parametrize("adaptation", [AdaptationConfig(), TARGET])
def test_the_labels_of_what_is_left_out_change_nothing(adaptation):
    part = part_of()
    run = Run(adaptation, CORPORA[-1], 0)
    unlike = [
        replace(u, emotion=Emotion.ANGER) if u.corpus == run.left_out else u
        for u in part.utterances
    ]
    predicted = train_and_predict(part, run)
    other = train_and_predict(replace(part, utterances=unlike), run)
    np.testing.assert_array_equal(other, predicted)


def test_untouched_corpora_change_nothing():
    part = part_of()
    run = Run(AdaptationConfig(), CORPORA[-1], 0, untouched=CORPORA[:1])
    moved = [
        rows + 100 if corpus == CORPORA[0] else rows
        for rows, corpus in zip(part.frames, part.corpora, strict=True)
    ]
    np.testing.assert_array_equal(
        train_and_predict(replace(part, frames=moved), run),
        train_and_predict(part, run),
    )


def test_a_skewed_target_is_70_percent_neutral():
    part = part_of()
    seen = set()

    class Spy(Head):
        def embedding(self, frames):
            if self.training:
                seen.update(frames.values[:, 0, 0].tolist())
            return super().embedding(frames)

    spied = replace(part, build=partial(Spy, 6, hidden=False))
    train_and_predict(spied, Run(TARGET, CORPORA[-1], 0, skewed=True))
    heard = [
        u.emotion
        for u, rows in zip(part.utterances, part.frames, strict=True)
        if u.corpus == CORPORA[-1] and float(rows[0, 0]) in seen
    ]
    assert heard.count(Emotion.NEUTRAL) == 10
    assert len(heard) == 14


def predictions_of(corpora, share, seeds=3):
    rng = np.random.default_rng(0)
    return {
        name: {
            seed: np.where(
                rng.random(len(corpus.labels)) < share,
                corpus.labels,
                (corpus.labels + 1) % 4,
            )
            for seed in range(seeds)
        }
        for name, corpus in corpora.items()
    }


def test_a_change_has_an_interval_that_holds_it():
    corpora = {
        name: Corpus(np.arange(200) % 4, [f"{n % 10}" for n in range(200)])
        for name in CORPORA
    }
    before, after = (predictions_of(corpora, share) for share in (0.5, 0.7))
    same = measure(corpora, before, before)
    assert same.change == same.interval.low == same.interval.high == 0
    assert same.ua == pytest.approx(50, abs=3)
    found = measure(corpora, before, after)
    assert found.interval.low < found.change < found.interval.high
    assert found.interval.low > 0
    assert found.change == pytest.approx(20, abs=4)
    assert found.by_corpus[found.worst][1] == min(
        c for _, c in found.by_corpus.values()
    )
