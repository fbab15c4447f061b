"""Speaker-independent folds: no speaker is in two parts of a fold.

Folds whose parts share speakers are in `leaky`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from espressivo.errors import SplitError
from espressivo.training.corpora.utterance import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from espressivo.training.corpora.utterance import Utterance

Protocol = Literal["session", "speaker-group", "corpus", "published", "random"]
"""Unit that is tested in turn; under `random` parts share speakers."""

Parts: TypeAlias = "dict[str, tuple[Utterance, ...]]"
"""Key of a unit that is tested in turn -> its utterances."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One split into train, validation and test; speakers are in one part each.

    Attributes:
        train: Utterances that the weights are fitted to.
        validation: Utterances that select the epoch and fit the temperature; may be
            empty.
        test: Utterances that are scored once, at the end.
        name: Name of the tested unit, used in tables and as a folder's name.
        protocol: Kind of the folds. Only under `random` are parts allowed to share a
            speaker, and the test part to validate.
    """

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    name: str
    protocol: Protocol

    def __post_init__(self) -> None:
        where = f"fold {self.name or 'without name'}"
        for part in (self.train, self.validation, self.test):
            ids = Counter(u.id for u in part)
            if twice := sorted(id_ for id_, n in ids.items() if n > 1):
                raise SplitError(
                    f"{where}: twice in one part: {some_of(twice)}; list each once"
                )
        # Published random splits validate on the test part, so only pairs with the
        # training part are checked there.
        random = self.protocol == "random"
        pairs = [*combinations((self.train, self.validation, self.test), 2)]
        for a, b in pairs[:2] if random else pairs:
            if both := sorted({u.id for u in a} & {u.id for u in b}):
                raise SplitError(
                    f"{where}: utterances in two parts: {some_of(both)}; "
                    "keep each in one"
                )
            if not random and (shared := speakers_of(a) & speakers_of(b)):
                raise SplitError(
                    f"{where}: speakers in two parts: {some_of(sorted(shared))}; "
                    "keep each speaker in one, or call the protocol random"
                )


def speakers_of(utterances: Sequence[Utterance]) -> set[str]:
    """Return the speakers of some utterances."""
    return {utterance.speaker for utterance in utterances}


def leave_one_corpus_out(
    utterances: Sequence[Utterance],
    validation_share: float = 0.2,
    seed: int = 0,
    train_only: Sequence[Utterance] = (),
) -> Iterator[Fold]:
    """Test each corpus; validate on some speakers of the others, train on the rest.

    Args:
        utterances: Utterances of two corpora or more.
        validation_share: Share of the speakers of each training corpus, see
            `held_out_speakers`; 0 leaves the validation part empty.
        seed: Seed of the choice of those speakers.
        train_only: Utterances of other corpora, for training in every fold.

    Raises:
        SplitError: There is only one corpus.
    """
    corpora = parts_by(utterances, [u.corpus for u in utterances], at_least=2)
    for (name, test), label in zip(corpora.items(), _names(list(corpora)), strict=True):
        others = [u for u in utterances if u.corpus != name]
        train, validation = held_out_speakers(others, validation_share, seed)
        yield Fold((*train, *train_only), validation, test, label, "corpus")


def published_parts(
    utterances: Sequence[Utterance],
    tested: Sequence[str],
    train_only: Sequence[Utterance] = (),
) -> Iterator[Fold]:
    """Train on the authors' part Train and validate on Development; test other parts.

    Speakers who are not known, and are kept together by podcast (MSP-Podcast), train
    only if nothing of the podcast validates or is tested, and validate only if nothing
    of it is tested.

    Args:
        utterances: Utterances with their `part`.
        tested: Parts to test, a fold for each, such as `Test1`.
        train_only: Utterances of other corpora, for training in every fold.

    Raises:
        SplitError: A part has no utterance, or a known speaker is in two parts.
    """
    parts = {
        part: [u for u in utterances if u.part == part]
        for part in ("Train", "Development", *tested)
    }
    if empty := [part for part, members in parts.items() if not members]:
        found = sorted({u.part for u in utterances} - {""})
        raise SplitError(
            f"no utterance is of the part {', '.join(empty)}; the corpus has "
            f"{', '.join(found) or 'no published parts'}"
        )
    for name in tested:
        test = parts[name]
        validation = _without_unknown(parts["Development"], test)
        train = _without_unknown(parts["Train"], [*validation, *test])
        fold = (*train, *train_only), tuple(validation), tuple(test)
        yield Fold(*fold, name, "published")


def _without_unknown(
    utterances: Sequence[Utterance], others: Sequence[Utterance]
) -> list[Utterance]:
    """Leave out the podcasts of unknown speakers of which `others` have something."""
    shared = {s for s in speakers_of(others) if s.partition("/")[2].startswith(UNKNOWN)}
    return [u for u in utterances if u.speaker not in shared]


def leave_one_session_out(
    utterances: Sequence[Utterance], train_only: Sequence[Utterance] = ()
) -> Iterator[Fold]:
    """Test each session, validate on the next, train on the rest and `train_only`.

    The first session validates when the last is tested. With CREMA-D in `train_only`
    these are the folds of Ismail (2025); only validation on the next session gives the
    average class weights of its Table II.

    Raises:
        SplitError: There are fewer than three sessions.
    """
    # Three, since one tests, another validates, and one has to be left to train.
    sessions = parts_by(utterances, [u.session for u in utterances], at_least=3)
    yield from rotate_parts(sessions, train_only, "session")


def leave_one_speaker_group_out(
    utterances: Sequence[Utterance],
    n_groups: int,
    train_only: Sequence[Utterance] = (),
) -> Iterator[Fold]:
    """Group the speakers; test each group, validate on the next, train on the rest.

    A group is a run of speakers in order of name. Men and women are mixed if the
    corpus numbers them alternately, as RAVDESS does.

    Raises:
        SplitError: `n_groups` is below three, or exceeds the number of speakers.
    """
    speakers = sorted(speakers_of(utterances))
    if not 3 <= n_groups <= len(speakers):
        raise SplitError(
            f"{n_groups} groups of {len(speakers)} speakers; ask for 3 groups or "
            "more, and no more than there are speakers"
        )
    # Sizes of groups differ by one at most.
    runs = np.array_split(np.asarray(speakers), n_groups)
    group = {str(s): f"group-{n:02}" for n, run in enumerate(runs, 1) for s in run}
    keys = [group[u.speaker] for u in utterances]
    parts = parts_by(utterances, keys, at_least=3)
    yield from rotate_parts(parts, train_only, "speaker-group")


def leave_one_speaker_out(
    utterances: Sequence[Utterance], train_only: Sequence[Utterance] = ()
) -> Iterator[Fold]:
    """Test each speaker, validate on the next, train on the rest and `train_only`.

    Raises:
        SplitError: There are fewer than three speakers.
    """
    speakers = parts_by(utterances, [u.speaker for u in utterances], at_least=3)
    yield from rotate_parts(speakers, train_only, "speaker-group")


def hold_speakers_out(
    utterances: Sequence[Utterance],
    validation: Sequence[str],
    test: Sequence[str],
    train_only: Sequence[Utterance] = (),
) -> Fold:
    """Put the named speakers into validation and test, and train on all others.

    Pepino et al. (2021) validate RAVDESS on actors 21 and 22, and test on 23 and 24.

    Raises:
        SplitError: A named speaker is absent, or is named for both parts.
    """
    if absent := sorted({*validation, *test} - speakers_of(utterances)):
        raise SplitError(
            f"there is no speaker {some_of(absent)}; name some of "
            f"{some_of(sorted(speakers_of(utterances)))}"
        )
    named = {*validation, *test}
    return Fold(
        (*(u for u in utterances if u.speaker not in named), *train_only),
        tuple(u for u in utterances if u.speaker in set(validation)),
        tuple(u for u in utterances if u.speaker in set(test)),
        "held-out",
        "speaker-group",
    )


def held_out_speakers(
    utterances: Sequence[Utterance], share: float = 0.2, seed: int = 0
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Hold out some speakers of every corpus, for validation or calibration.

    Args:
        utterances: Utterances of any number of corpora.
        share: Share of each corpus's speakers, rounded; at least one where `share` is
            positive, but never a corpus's last one.
        seed: Seed of the choice. The choice within a corpus does not depend on the
            other corpora.

    Returns:
        The kept and the held-out utterances, each in the given order.
    """
    if not 0 <= share < 1:
        raise SplitError(f"share of speakers held out is {share}, not in 0..1")
    held: set[str] = set()
    for corpus in sorted({u.corpus for u in utterances}):
        speakers = sorted({u.speaker for u in utterances if u.corpus == corpus})
        # Some speaker of each corpus has to train, or the corpus would be lost.
        n_held = min(max(1, round(share * len(speakers))), len(speakers) - 1)
        if share > 0 and n_held > 0:
            # Seeded with the corpus's name too, so that its choice is its own.
            chosen = np.random.default_rng([seed, *corpus.encode()])
            held |= set(chosen.permutation(speakers)[:n_held].tolist())
    kept = tuple(u for u in utterances if u.speaker not in held)
    return kept, tuple(u for u in utterances if u.speaker in held)


def rotate_parts(
    parts: Parts,
    train_only: Sequence[Utterance],
    protocol: Protocol,
    *,
    select_on_test: bool = False,
) -> Iterator[Fold]:
    """Yield a fold for each part: it tests, the next or the same one validates."""
    keys = list(parts)
    # The next part validates, and the first follows the last: so the study's
    # average class weights (Table II) come out.
    following = keys if select_on_test else keys[1:] + keys[:1]
    for name, test, validation in zip(_names(keys), keys, following, strict=True):
        rest = (parts[key] for key in keys if key not in (test, validation))
        train = (*chain.from_iterable(rest), *train_only)
        yield Fold(train, parts[validation], parts[test], name, protocol)


def parts_by(
    utterances: Sequence[Utterance], keys: Sequence[str], at_least: int
) -> Parts:
    """Group utterances by key; keys are sorted, utterances keep their order."""
    parts: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance, key in zip(utterances, keys, strict=True):
        parts[key].append(utterance)
    if len(parts) < at_least:
        raise SplitError(
            f"only {', '.join(sorted(parts)) or 'nothing'} to split by; "
            f"a fold needs at least {at_least} parts"
        )
    # Sorted, so that folds do not depend on the order of the utterances.
    return {key: tuple(parts[key]) for key in sorted(parts)}


def _names(keys: Sequence[str]) -> list[str]:
    """Make unique folder names from keys such as `iemocap/Ses01`.

    The corpus is omitted if all keys share it and each rest begins with a letter.
    """
    corpora, names = zip(*(key.rpartition("/")[::2] for key in keys), strict=True)
    short = len(set(corpora)) == 1 and all(name[:1].isalpha() for name in names)
    made: dict[str, str] = {}  # some file systems ignore case
    for name in names if short else keys:
        safe = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "fold"
        while safe.casefold() in made:
            safe = f"{safe}-{len(made) + 1}"
        made[safe.casefold()] = safe
    return list(made.values())


def some_of(names: Sequence[str]) -> str:
    """List the first five names, and the number of those left out."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
