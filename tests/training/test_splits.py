from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espressivo.errors import SplitError
from espressivo.training.corpora import Utterance
from espressivo.training.splits import (
    Fold,
    held_out_speakers,
    leave_one_corpus_out,
    leave_one_session_out,
    leave_one_speaker_group_out,
    speakers_of,
)
from espressivo.types import Emotion


def utterance(n, corpus, speaker):
    return Utterance(
        id=f"{corpus}/{n}",
        path=Path(f"{n}.wav"),
        speaker=f"{corpus}/{speaker}",
        session=f"{corpus}/{speaker // 2}",
        emotion=list(Emotion)[n % 4],
        corpus=corpus,
    )


cells = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 11)), max_size=60
)
corpora = cells.map(lambda drawn: [utterance(n, *c) for n, c in enumerate(drawn)])


def assert_a_partition(folds, utterances):
    """Parts of a fold share no speaker; each utterance is tested exactly once."""
    for fold in folds:
        parts = (fold.train, fold.validation, fold.test)
        assert Counter(u for part in parts for u in part) == Counter(utterances)
        speakers = [speaker for part in parts for speaker in speakers_of(part)]
        assert len(speakers) == len(set(speakers))
    assert Counter(u for fold in folds for u in fold.test) == Counter(utterances)


@given(corpora, st.integers(0, 5))
def test_leaving_corpora_out(utterances, seed):
    names = {u.corpus for u in utterances}
    if len(names) < 2:
        with pytest.raises(SplitError, match="at least 2"):
            list(leave_one_corpus_out(utterances))
        return
    folds = list(leave_one_corpus_out(utterances, seed=seed))
    assert_a_partition(folds, utterances)
    for fold in folds:
        assert {u.corpus for u in fold.test} == {fold.name}
        assert {u.corpus for u in fold.train} == names - {fold.name}


@given(corpora)
def test_leaving_sessions_out(utterances):
    sessions = sorted({u.session for u in utterances})
    if len(sessions) < 3:
        with pytest.raises(SplitError, match="at least 3"):
            list(leave_one_session_out(utterances))
        return
    folds = list(leave_one_session_out(utterances))
    assert_a_partition(folds, utterances)
    assert [{u.session for u in fold.test} for fold in folds] == [{s} for s in sessions]
    after = [{u.session for u in fold.validation} for fold in folds]
    assert after == [{s} for s in sessions[1:] + sessions[:1]]


@given(corpora, st.integers(0, 14))
def test_leaving_speaker_groups_out(utterances, n):
    if not 3 <= n <= len(speakers_of(utterances)):
        with pytest.raises(SplitError, match="groups of"):
            list(leave_one_speaker_group_out(utterances, n))
        return
    folds = list(leave_one_speaker_group_out(utterances, n))
    assert_a_partition(folds, utterances)
    sizes = {len(speakers_of(fold.test)) for fold in folds}
    assert len(folds) == n
    assert max(sizes) - min(sizes) <= 1


def test_six_groups_of_ravdess_are_two_men_and_two_women_each():
    utterances = [utterance(n, "ravdess", 10 + n) for n in range(24)]
    for fold in leave_one_speaker_group_out(utterances, 6):
        numbers = [int(s.rpartition("/")[2]) for s in speakers_of(fold.test)]
        assert sum(n % 2 for n in numbers) == 2
        assert len(numbers) == 4


@given(corpora, st.floats(0, 0.99), st.integers(0, 5))
def test_held_out_speakers_are_no_others(utterances, share, seed):
    kept, held = held_out_speakers(utterances, share, seed)
    assert Counter(kept + held) == Counter(utterances)
    assert not speakers_of(kept) & speakers_of(held)
    assert {u.corpus for u in kept} == {u.corpus for u in utterances}
    assert (kept, held) == held_out_speakers(utterances, share, seed)
    if share == 0:
        assert not held


@given(corpora, st.integers(0, 5))
def test_who_is_held_out_does_not_depend_on_the_other_corpora(utterances, seed):
    _, held = held_out_speakers(utterances, 0.3, seed)
    alone = [u for u in utterances if u.corpus == "a"]
    _, held_alone = held_out_speakers(alone, 0.3, seed)
    assert held_alone == tuple(u for u in held if u.corpus == "a")


def test_train_only_utterances_train_in_every_fold():
    utterances = [utterance(n, "a", n) for n in range(8)]
    extra = [utterance(n, "b", n) for n in range(3)]
    for fold in leave_one_session_out(utterances, extra):
        assert set(extra) < set(fold.train)


def test_train_only_utterances_of_a_tested_speaker_are_refused():
    utterances = [utterance(n, "a", n) for n in range(8)]
    again = [replace(utterances[0], id="a/again")]
    with pytest.raises(SplitError, match=r"speakers in two parts: a/0"):
        list(leave_one_session_out(utterances, again))


def test_a_fold_with_a_speaker_in_two_parts_cannot_be_built():
    one, other = utterance(0, "a", 3), utterance(1, "a", 3)
    with pytest.raises(SplitError, match=r"fold mine: .* a/3; keep each speaker"):
        Fold((one,), (), (other,), "mine", "session")


def test_a_share_that_is_no_share_is_refused():
    with pytest.raises(SplitError, match=r"1\.5, not in 0\.\.1"):
        held_out_speakers([], 1.5)
