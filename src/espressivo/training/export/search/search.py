"""Which sites to round: least time for a bounded change of probabilities.

What sites change is about independent, so squares add up; what is chosen by such sums
is measured as a whole before it is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import ExportError
from espressivo.training.export.search.sensitivity import (
    LEAST_GAIN,
    Effect,
    Laboratory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from espressivo.training.export.search.targets import Site

_TRIALS = 40  # most choose what was measured before


def search(
    laboratory: Laboratory, sites: Sequence[Site], budget: float, bytes_to_save: int = 0
) -> list[Site]:
    """Return the sites that save most time while probabilities change by `budget`.

    Args:
        laboratory: Of the graph.
        sites: That may be rounded.
        budget: Mean over recordings of the largest change of a probability.
        bytes_to_save: By rounding weights.

    Raises:
        ExportError: The budget is no positive number, or there is no such choice.
    """
    if not 0 < budget < 1:
        raise ExportError(
            f"the budget is {budget}, not a change of probability between 0 and 1; "
            "pass --budget 0.02, say"
        )
    effects = laboratory.effects(sites)
    found: dict[tuple[str, ...], float] = {}
    target = budget
    for _ in range(_TRIALS):
        chosen = choose(sites, effects, target, bytes_to_save)
        names = tuple(site.name for site in chosen)
        if not names or found.get(names, budget + 1) <= budget:
            break
        if names not in found:
            found[names] = laboratory.change_together(chosen)
        # The sum of squares was too hopeful, or not hopeful enough.
        target *= min(max(budget / max(found[names], 1e-9), 0.5), 1.5)
    within = [names for names, change in found.items() if change <= budget]
    if not within:
        raise ExportError(_none_found(found, budget, bytes_to_save))
    best = max(within, key=lambda names: sum(effects[n].seconds for n in names))
    return [site for site in sites if site.name in best]


def choose(
    sites: Iterable[Site],
    effects: Mapping[str, Effect],
    budget: float,
    bytes_to_save: int = 0,
) -> list[Site]:
    """Return the sites to round, going by what each does alone.

    Those come first that save most time for their squared change, or just most time:
    whichever saves more in the end, as for a knapsack. What saves no time is rounded
    if it saves bytes, after all that saves time.

    Args:
        sites: That may be rounded.
        effects: Of each.
        budget: Root of the sum of the squared changes.
        bytes_to_save: More sites than the budget allows are chosen, if it takes that.
    """
    worth = [s for s in sites if effects[s.name].saves_time or s.bytes_saved]
    orders = (_time_for_change, lambda effect: effect.share)
    fills = [_fill(worth, effects, budget, order) for order in orders]
    chosen = max(fills, key=lambda fill: sum(effects[s.name].share for s in fill))
    left = [site for site in worth if site not in chosen]
    missing = bytes_to_save - sum(site.bytes_saved for site in chosen)
    for site in sorted(left, key=lambda s: -_bytes_for_change(s, effects[s.name])):
        if missing > 0 and site.bytes_saved:
            missing -= site.bytes_saved
            chosen.append(site)
    return chosen


def _fill(
    sites: Iterable[Site],
    effects: Mapping[str, Effect],
    budget: float,
    worth: Callable[[Effect], float],
) -> list[Site]:
    spare, chosen = budget**2, []
    for site in sorted(sites, key=lambda site: -worth(effects[site.name])):
        square = effects[site.name].change ** 2
        if square <= spare:
            spare -= square
            chosen.append(site)
    return chosen


def decision(effect: Effect, *, rounded: bool, kept: bool, weighed: bool) -> str:
    """Say what became of a site, and why.

    Args:
        effect: Of the site.
        rounded: It is.
        kept: It was to stay as it was.
        weighed: What it changes was held against what it saves.
    """
    if rounded:
        return "8 bits" if effect.saves_time else "8 bits, for its size"
    if kept:
        return "fp32, as asked"
    if not effect.saves_time:
        return "fp32, saves no time"
    return "fp32, for what it changes" if weighed else "fp32, without a budget"


def _time_for_change(effect: Effect) -> float:
    return max(effect.share, LEAST_GAIN / 2) / max(effect.change, 1e-9) ** 2


def _bytes_for_change(site: Site, effect: Effect) -> float:
    return site.bytes_saved / max(effect.change, 1e-9) ** 2


def _none_found(
    found: Mapping[tuple[str, ...], float], budget: float, bytes_to_save: int
) -> str:
    least = f"; the least was {min(found.values()):.4f}" if found else ""
    small = f" and a file {bytes_to_save / 1e6:.2f} MB smaller" if bytes_to_save else ""
    return (
        f"no choice of layers found with a change of at most {budget:g}{small}{least}; "
        "raise --budget, or export with --precision fp32"
    )
