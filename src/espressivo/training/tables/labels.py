"""Labels of tables: names of measures and protocols, and the notes below."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from espressivo.training.scores.bootstrap import N_RESAMPLES, few_speakers
from espressivo.types import Dimension, Emotion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from espressivo.training.corpora import ScoringVariant
    from espressivo.training.scores.crossval_results import CrossvalResults

RANDOM = "random split: speakers are in several parts"

_PROTOCOLS = {
    "session": "leave one session out",
    "speaker-group": "leave one speaker group out",
    "speaker": "leave one speaker out",
    "held-out-speakers": "speakers held out",
    "corpus": "leave one corpus out",
    "published": "the corpus's own parts",
    "other-corpus": "trained on other corpora",
}
_RANDOM_KINDS = {
    "hold-out": "hold-out",
    "prefix": "by IEMOCAP name prefix",
    "session-prefix": "by session, an IEMOCAP name prefix validates",
}

MEASURES = {
    "wa": "WA",
    "ua": "UA",
    "macro_f1": "macro F1",
    "ece": "ECE",
    **{f"recall_{emotion}": f"recall {emotion}" for emotion in Emotion},
    **{f"f1_{emotion}": f"F1 {emotion}" for emotion in Emotion},
    **{f"ccc_{name}": f"CCC {name}" for name in Dimension},
}
"""Names of the measures in tables."""


def protocol_of(results: CrossvalResults) -> str:
    """Describe the test protocol and its flaws."""
    # `protocol` is one of four; `protocol_kind` is the recipe's own, finer word.
    kind = str(results.card.get("protocol_kind", results.protocol))
    words = _PROTOCOLS.get(kind, _PROTOCOLS.get(results.protocol, results.protocol))
    # The leak is stated wherever the protocol is, so that no table hides it.
    if results.protocol == "random":
        words = f"{RANDOM} ({_RANDOM_KINDS[kind]})" if kind in _RANDOM_KINDS else RANDOM
    return words + ("; chosen on the test part" if results.chosen_by_test else "")


def folds_of(results: CrossvalResults) -> str:
    """Return the number of finished and planned folds, as text.

    A fold counts when one of its seeds is finished.
    """
    # A cross-validation that was stopped can be tabulated, too.
    done, planned = len(results.folds), len(results.planned_folds)
    if done < planned:
        return f"{done} of {planned} folds"
    return "1 fold" if done == 1 else f"{done} folds"


def design_of(results: CrossvalResults) -> str:
    """Return number and protocol of the folds, as text."""
    return f"{folds_of(results)}, {protocol_of(results)}"


def names_of(results: Sequence[CrossvalResults]) -> list[str]:
    """Return a unique name per system; the folder is added to duplicates."""
    # Runs of one recipe into several folders have the same name.
    n = Counter(r.name for r in results)
    return [r.name if n[r.name] == 1 else f"{r.name} ({r.folder})" for r in results]


def with_variants(
    results: Sequence[CrossvalResults], names: Sequence[str]
) -> Iterator[tuple[str, CrossvalResults]]:
    """Yield each result with its name, then the same without its scoring variant."""
    for name, one in zip(names, results, strict=True):
        yield name, one
        if (rest := one.without_variant) is not None:
            yield name, rest


def variant_heading(variants: Iterable[ScoringVariant | None]) -> str:
    """Return the heading of the column with the treatment of scoring variants."""
    return ", ".join(sorted({v.label for v in variants if v is not None}))


OVER_FOLDS = (
    "± is the sample standard deviation over folds; with several seeds a fold's score "
    "is the mean over its seeds."
)
INTERVALS = (
    "In parentheses: 95 % interval of all test answers together (pooled), by "
    f"{N_RESAMPLES:,} resamples of whole speakers."
)


def cautions(
    results: Sequence[CrossvalResults], names: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return caveats as (name, caveat), the number of unreadable clips being one."""
    return tuple(
        (name, caution)
        for name, one in zip(names, results, strict=True)
        for caution in (*_cautions(one), _unreadable(one))
    )


def _cautions(one: CrossvalResults) -> Iterator[str]:
    yield from one.card.get("cautions", ())
    if one.protocol == "random":
        yield f"{RANDOM}, so its scores say nothing about new speakers."
    if one.chosen_by_test:
        yield "validated on what it tests, so its scores flatter it."
    if one.is_partial:
        planned = len(one.planned_folds) * len(one.planned_seeds)
        yield (
            f"unfinished, {len(one.folds)} of {len(one.planned_folds)} folds "
            f"({len(one.by_run)} of {planned} runs); only these count."
        )
    yield from few_speakers(one.n_speakers)
    ids = one.predictions.ids
    if n_other := len(np.unique(ids[one.predictions.labels < 0])):
        yield (
            f"{n_other:,} of {len(np.unique(ids)):,} utterances are of none of the "
            "four emotions; they count for dimensions alone."
        )
    if (v := one.variant) is not None:
        yield (
            f"scored with {v.title}, and again with {v.label} {v.excluded} of the test "
            "(training is the same)."
        )
    runs = [
        run
        for each in (one, one.without_variant)
        if each is not None
        for run in each.by_run.values()
    ]
    # Recall is NaN, and left out of UA, where a fold tests no utterance of a class.
    lacking = [e for e in Emotion if any(isnan(run[f"recall_{e}"]) for run in runs)]
    if lacking:
        yield (
            f"some folds test no {' or no '.join(lacking)}; there UA is the mean of "
            "the other recalls."
        )


def _unreadable(one: CrossvalResults) -> str:
    n = len(one.unreadable)
    if n == 0:
        return "no clip was unreadable."
    return (
        f"{n} unreadable {'clip is' if n == 1 else 'clips are'} left out of "
        "training and test."
    )
