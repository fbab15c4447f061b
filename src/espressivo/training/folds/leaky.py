"""Folds with speakers in several parts, which reproduce published protocols.

Their scores overestimate the accuracy on new speakers. All have the protocol `random`,
and every table says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from espressivo.errors import SplitError
from espressivo.training.folds.splits import (
    Fold,
    leave_one_session_out,
    parts_by,
    rotate_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from espressivo.training.corpora.utterance import Utterance

# In "Ses01F_impro01_M003" F wears the face markers, but M is speaking.
_IEMOCAP = re.compile(r"(Ses\d\d)([FM])_(?:impro|script)\w*_([FM])\w+")


def iemocap_name(name: str) -> tuple[str, str] | None:
    """Parse prefix and talker of an IEMOCAP recording's name; None for other names.

    >>> iemocap_name("iemocap/Ses01F_impro01_M003")
    ('Ses01F', 'Ses01M')
    """
    match = _IEMOCAP.fullmatch(name.rpartition("/")[2])
    return match and (match[1] + match[2], match[1] + match[3])


def leave_one_prefix_out(
    utterances: Sequence[Utterance],
    train_only: Sequence[Utterance] = (),
    *,
    select_on_test: bool = False,
) -> Iterator[Fold]:
    """Test each of IEMOCAP's ten name prefixes, which studies took for speakers.

    Both talkers of a session occur under each of its prefixes, so talkers are in
    several parts. With `select_on_test` the tested prefix also validates, as published
    for LIGHT-SERNET; otherwise the next prefix validates.

    Raises:
        SplitError: A name is not IEMOCAP's, or there are fewer than three prefixes.
    """
    keys = [f"{u.corpus}/{_prefix(u)}" for u in utterances]
    parts = parts_by(utterances, keys, at_least=3)
    yield from rotate_parts(parts, train_only, "random", select_on_test=select_on_test)


def leave_one_session_out_by_prefix(
    utterances: Sequence[Utterance], train_only: Sequence[Utterance] = ()
) -> Iterator[Fold]:
    """Test each session, validate on one name prefix of the next, train on the rest.

    The protocol of Pepino et al. (2021): a prefix of one session validates. Both
    talkers of that session also train, since a prefix does not identify a speaker. The
    study's lists are not published; here the first prefix validates.

    Raises:
        SplitError: A name is not IEMOCAP's, or there are fewer than three sessions.
    """
    for fold in leave_one_session_out(utterances, train_only):
        first = min(_prefix(u) for u in fold.validation)
        validation = tuple(u for u in fold.validation if _prefix(u) == first)
        rest = tuple(u for u in fold.validation if _prefix(u) != first)
        train = (*fold.train, *rest)
        yield Fold(train, validation, fold.test, fold.name, "random")


def random_k_folds(
    utterances: Sequence[Utterance],
    k: int,
    seed: int = 0,
    train_only: Sequence[Utterance] = (),
    *,
    select_on_test: bool = False,
) -> Iterator[Fold]:
    """Test each of `k` random parts, validate on the next, train on the rest.

    With `select_on_test` the test part also validates, in place of the next.

    Raises:
        SplitError: `k` is below three, or above the number of utterances.
    """
    if not 3 <= k <= len(utterances):
        raise SplitError(
            f"{k} random parts of {len(utterances)} utterances; ask for 3 parts or "
            "more, and no more than there are utterances"
        )
    # Shuffled remainders make parts whose sizes differ by one at most.
    part = np.random.default_rng(seed).permutation(np.arange(len(utterances)) % k)
    # Two digits, since parts are sorted by key as text.
    keys = [f"random-{n + 1:02}" for n in part]
    parts = parts_by(utterances, keys, at_least=3)
    yield from rotate_parts(parts, train_only, "random", select_on_test=select_on_test)


def random_hold_out(
    utterances: Sequence[Utterance],
    share: float = 0.05,
    seed: int = 0,
    train_only: Sequence[Utterance] = (),
    *,
    validation_share: float = 0.0,
    select_on_test: bool = False,
) -> Fold:
    """Test a random share of the utterances, train on the others: the production model.

    `validation_share` is a share of all utterances, too; if it is 0, there is no
    validation part. With `select_on_test` the test part also validates, so its score is
    optimistic.

    Raises:
        SplitError: The shares leave a part without an utterance.
    """
    n_test, n_more = (round(s * len(utterances)) for s in (share, validation_share))
    # Rounding may empty a part of a small corpus, hence a check of counts.
    if min(share, validation_share) < 0 or not 0 < n_test < len(utterances) - n_more:
        raise SplitError(
            f"shares {share} and {validation_share} of {len(utterances)} utterances "
            "leave nothing to test or to train on; hold out less, such as 0.05"
        )
    order = np.random.default_rng(seed).permutation(len(utterances)).tolist()
    cuts = (order[:n_test], order[n_test : n_test + n_more], order[n_test + n_more :])
    # Sorted indices keep the order of the corpus within each part.
    test, more, train = (tuple(utterances[i] for i in sorted(cut)) for cut in cuts)
    validation = test if select_on_test else more
    return Fold((*train, *train_only), validation, test, "hold-out", "random")


def _prefix(utterance: Utterance) -> str:
    if (named := iemocap_name(utterance.id)) is None:
        raise SplitError(
            f"{utterance.id}: is not named as in IEMOCAP (Ses01F_impro01_M003); "
            "fold other corpora by session or speaker, or list them in train_only"
        )
    return named[0]
