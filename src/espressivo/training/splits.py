"""Who trains, who validates, who tests: folds that no speaker crosses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import SplitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from espressivo.training.corpora.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Fold:
    """One train/validation/test split. No two parts share a speaker.

    Attributes:
        train: Fits the weights.
        validation: Chooses among them; may be empty.
        test: Scored once, at the end.
        name: What is tested, as in tables.
    """

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    name: str = ""

    def __post_init__(self) -> None:
        for a, b in combinations((self.train, self.validation, self.test), 2):
            if shared := speakers_of(a) & speakers_of(b):
                raise SplitError(
                    f"fold {self.name or 'without name'}: speakers in two parts: "
                    f"{', '.join(sorted(shared))}; keep each speaker in one"
                )


def speakers_of(utterances: Sequence[Utterance]) -> set[str]:
    """Collect the speakers."""
    return {utterance.speaker for utterance in utterances}


def leave_one_corpus_out(
    utterances: Sequence[Utterance],
    validation_share: float = 0.2,
    seed: int = 0,
) -> Iterator[Fold]:
    """Test each corpus; validate on some speakers of the others, train on the rest.

    Args:
        utterances: Of two corpora or more.
        validation_share: Of the speakers of each training corpus, see
            `held_out_speakers`; 0 leaves the validation part empty.
        seed: Chooses those speakers.

    Raises:
        SplitError: There is only one corpus.
    """
    corpora = _parts(utterances, [u.corpus for u in utterances], at_least=2)
    for name, test in corpora.items():
        others = [u for u in utterances if u.corpus != name]
        train, validation = held_out_speakers(others, validation_share, seed)
        yield Fold(train, validation, test, name)


def leave_one_session_out(
    utterances: Sequence[Utterance], train_only: Sequence[Utterance] = ()
) -> Iterator[Fold]:
    """Test each session, validate on the next, train on the rest and `train_only`.

    Raises:
        SplitError: There are fewer than three sessions.
    """
    sessions = _parts(utterances, [u.session for u in utterances], at_least=3)
    yield from _in_turn(sessions, train_only)


def leave_one_speaker_group_out(
    utterances: Sequence[Utterance],
    n_groups: int,
    train_only: Sequence[Utterance] = (),
) -> Iterator[Fold]:
    """Group the speakers; test each group, validate on the next, train on the rest.

    Neighbours by name make a group, so that men and women mix where a corpus numbers
    them in turn, as RAVDESS does.

    Raises:
        SplitError: Fewer than three groups are asked for, or fewer speakers there.
    """
    speakers = sorted(speakers_of(utterances))
    if not 3 <= n_groups <= len(speakers):
        raise SplitError(
            f"{n_groups} groups of {len(speakers)} speakers; ask for 3 groups or "
            "more, and no more than there are speakers"
        )
    runs = np.array_split(np.asarray(speakers), n_groups)
    group = {str(s): f"group-{n:02}" for n, run in enumerate(runs, 1) for s in run}
    keys = [group[u.speaker] for u in utterances]
    yield from _in_turn(_parts(utterances, keys, at_least=3), train_only)


def held_out_speakers(
    utterances: Sequence[Utterance], share: float = 0.2, seed: int = 0
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Hold some speakers of every corpus out, as for fitting the temperature.

    Args:
        utterances: Of any number of corpora.
        share: Of each corpus's speakers, rounded; at least one where `share` is
            positive, but never a corpus's last one.
        seed: Chooses them; with the same seed a corpus's choice does not depend on
            which other corpora are there.

    Returns:
        The kept and the held-out utterances, in their order.
    """
    if not 0 <= share < 1:
        raise SplitError(f"share of speakers held out is {share}, not in 0..1")
    held: set[str] = set()
    for corpus in sorted({u.corpus for u in utterances}):
        speakers = sorted({u.speaker for u in utterances if u.corpus == corpus})
        n_held = min(max(1, round(share * len(speakers))), len(speakers) - 1)
        if share > 0 and n_held > 0:
            chosen = np.random.default_rng([seed, *corpus.encode()])
            held |= set(chosen.permutation(speakers)[:n_held].tolist())
    kept = tuple(u for u in utterances if u.speaker not in held)
    return kept, tuple(u for u in utterances if u.speaker in held)


def _in_turn(
    parts: dict[str, tuple[Utterance, ...]], train_only: Sequence[Utterance]
) -> Iterator[Fold]:
    names = list(parts)
    for test, validation in zip(names, names[1:] + names[:1], strict=True):
        rest = (parts[name] for name in names if name not in (test, validation))
        train = (*chain.from_iterable(rest), *train_only)
        yield Fold(train, parts[validation], parts[test], test)


def _parts(
    utterances: Sequence[Utterance], keys: Sequence[str], at_least: int
) -> dict[str, tuple[Utterance, ...]]:
    """Group utterances by key, keys sorted, utterances in their order."""
    parts: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance, key in zip(utterances, keys, strict=True):
        parts[key].append(utterance)
    if len(parts) < at_least:
        raise SplitError(
            f"only {', '.join(sorted(parts)) or 'nothing'} to split by; "
            f"a fold needs at least {at_least} parts"
        )
    return {key: tuple(parts[key]) for key in sorted(parts)}
