"""The result of a report in one sentence."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from espressivo.training.scores.bootstrap import holm
from espressivo.training.tables.labels import folds_of, names_of, protocol_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.scores.crossval_results import CrossvalResults

CHANCE = 0.25
"""UA of guessing among four emotions."""


def lead_measure(results: Sequence[CrossvalResults]) -> tuple[str, str]:
    """Return key and name of the measure that decides: UA, or the CCC of a dimension.

    It is a CCC if all systems were trained on dimensions alone.
    """
    first = results[0].dimension_names
    if first and all(one.card.get("task") == "dimensions" for one in results):
        return f"ccc_{first[0]}", f"CCC of {first[0]}"
    return "ua", "UA"


def headline(
    results: Sequence[CrossvalResults], against: CrossvalResults | None = None
) -> str:
    """Say which system has which score, with its interval, tested how, against what.

    Of several systems it is the highest, with the next if there is no `against`. Scores
    of different corpora or protocols do not compare: each of these has its highest.

    Args:
        results: One or several systems.
        against: System that each is compared with, on the same utterances.
    """
    others = [one for one in results if against is None or one.folder != against.folder]
    if not others:
        others, against = list(results), None
    names = names_of([*others, *([against] if against is not None else [])])
    measure, label = lead_measure(others)
    ranked = sorted(
        zip(names, others, strict=False), key=lambda pair: -_value(pair[1], measure)
    )
    if len({_test_of(one) for one in others}) > 1:
        return _of_each_test(ranked, measure, label)
    test = _test_of(others[0])
    (name, best), *rest = ranked
    text = f"{name} has a {_scored(best, measure, label)} on {test}"
    if rest:
        text = f"Of {len(ranked)} systems on {test}, {name} has the highest "
        text += f"{label}, {_scored(best, measure, '')}"
    if against is not None:
        return text + _compared(best, others, against, names[-1], measure) + "."
    if rest:
        second, next_one = rest[0]
        return f"{text}; the next, {second}, has {_scored(next_one, measure, '')}."
    return f"{text}; guessing has {CHANCE}." if measure == "ua" else f"{text}."


def _of_each_test(
    ranked: Sequence[tuple[str, CrossvalResults]], measure: str, label: str
) -> str:
    tests: dict[str, list[tuple[str, CrossvalResults]]] = {}
    # Random splits come last: their scores say nothing of new speakers.
    for name, one in sorted(ranked, key=lambda pair: pair[1].protocol == "random"):
        tests.setdefault(_test_of(one), []).append((name, one))
    listed = "; ".join(
        f"on {test} {name} has "
        + (f"the highest {label}, " if others else f"a {label} of ")
        + _scored(best, measure, "")
        for test, ((name, best), *others) in tests.items()
    )
    return (
        f"{len(ranked)} systems were tested in {len(tests)} ways, between which scores "
        f"do not compare: {listed}."
    )


def _value(one: CrossvalResults, measure: str) -> float:
    value = one.pooled.get(measure, float("nan"))
    return float("-inf") if isnan(value) else value


def _scored(one: CrossvalResults, measure: str, label: str) -> str:
    """Return a pooled score and its interval: `UA of 0.575 (95 % interval ...)`."""
    text = f"{one.pooled.get(measure, float('nan')):.3f}"
    interval = one.intervals.get(measure)
    # With a single speaker there is nothing to resample, and so no interval.
    ends = (
        f"95 % interval {interval.low:.3f} to {interval.high:.3f} over "
        f"{one.n_speakers} speakers"
        if interval
        else "a single speaker, so no interval"
    )
    return f"{f'{label} of ' if label else ''}{text} ({ends})"


def _test_of(one: CrossvalResults) -> str:
    """Return corpora, scoring variant, number and protocol of the folds."""
    variant = "" if one.variant is None else f", {one.variant.title}"
    return f"{' and '.join(one.corpora)}{variant} ({folds_of(one)}, {protocol_of(one)})"


def _compared(
    best: CrossvalResults,
    others: Sequence[CrossvalResults],
    against: CrossvalResults,
    name: str,
    measure: str,
) -> str:
    """Return the difference from `against`; p is corrected for all comparisons."""
    found = {id(one): one.compare(against).differences.get(measure) for one in others}
    d = found[id(best)]
    if d is None:
        return f"; {name} has {_scored(against, measure, '')}"
    known = [id(one) for one in others if found[id(one)] is not None]
    p_values = holm([each.p for each in found.values() if each is not None])
    p = p_values[known.index(id(best))]
    more, chance = ("more" if d.difference >= 0 else "less"), ""
    if d.interval.low <= 0 <= d.interval.high:
        chance = ", which may be chance"
    ends = f"{d.interval.low:+.3f} to {d.interval.high:+.3f}"
    corrected = "p (Holm)" if len(known) > 1 else "p"
    return (
        f"; that is {abs(d.difference):.3f} {more} than {name} (95 % interval of the "
        f"difference {ends}, {corrected} = {p:.3f}){chance}"
    )
