"""Search of the targets to quantize, within a bound on the probability change.

The changes of different targets are approximately independent, so their squares add
up. A selection by these sums is then measured as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import ExportError
from espressivo.training.export.search.sensitivity import LEAST_GAIN, Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from espressivo.training.export.quantize.targets import QuantizationTarget
    from espressivo.training.export.search.sensitivity import Sensitivity

_TRIALS = 40  # most of them choose what was measured before


def search(
    sensitivity: Sensitivity, targets: Sequence[QuantizationTarget], budget: float
) -> list[QuantizationTarget]:
    """Return the targets that save most time while probabilities change by `budget`.

    Args:
        sensitivity: Measured sensitivity of the graph.
        targets: Candidates for quantization.
        budget: Mean over recordings of the largest change of a probability.

    Raises:
        ExportError: The budget is no positive number, or there is no such choice.
    """
    if not 0 < budget < 1:
        raise ExportError(
            f"the budget is {budget}, not a change of probability between 0 and 1; "
            "pass --budget 0.02, say"
        )
    effects = sensitivity.effects(targets)
    found: dict[tuple[str, ...], float] = {}
    bound = budget
    for _ in range(_TRIALS):
        chosen = choose(targets, effects, bound)
        names = tuple(target.name for target in chosen)
        # A choice within the budget ends the search only when it comes up again: before
        # that the bound grows, to spend what is left.
        if not names or found.get(names, budget + 1) <= budget:
            break
        if names not in found:
            found[names] = sensitivity.change_together(chosen)
        # The sum of squares under- or overestimated the joint change.
        # Limited, so that one measurement cannot move the bound far.
        bound *= min(max(budget / max(found[names], 1e-9), 0.5), 1.5)
    within = [names for names, change in found.items() if change <= budget]
    if not within:
        raise ExportError(_none_found(found, budget))
    best = max(within, key=lambda names: sum(effects[n].seconds for n in names))
    return [target for target in targets if target.name in best]


def choose(
    targets: Iterable[QuantizationTarget],
    effects: Mapping[str, Effect],
    budget: float,
) -> list[QuantizationTarget]:
    """Return the targets to quantize, judged by the effect of each alone.

    As for a knapsack, targets are taken in the order of time saved for their squared
    change, or in the order of time saved, whichever saves more in the end. A target
    that saves no time is taken last, and only if it saves bytes.

    Args:
        targets: Candidates for quantization.
        effects: Effect of each target, by name.
        budget: Root of the sum of the squared changes.
    """
    worth = [t for t in targets if effects[t.name].saves_time or t.bytes_saved]
    orders = (_time_for_change, lambda effect: effect.share)
    fills = [_fill(worth, effects, budget, order) for order in orders]
    return max(fills, key=lambda fill: sum(effects[t.name].share for t in fill))


def _fill(
    targets: Iterable[QuantizationTarget],
    effects: Mapping[str, Effect],
    budget: float,
    worth: Callable[[Effect], float],
) -> list[QuantizationTarget]:
    spare, chosen = budget**2, []
    for target in sorted(targets, key=lambda target: -worth(effects[target.name])):
        square = effects[target.name].change ** 2
        if square <= spare:
            spare -= square
            chosen.append(target)
    return chosen


def decision(effect: Effect, *, quantized: bool, kept: bool, weighed: bool) -> str:
    """Return whether a target is in 8 bits or fp32, and why.

    Args:
        effect: What quantizing it does.
        quantized: Whether the target is quantized.
        kept: Whether `--keep` names the target.
        weighed: Whether its change was compared with the time that it saves.
    """
    if quantized:
        return "8 bits" if effect.saves_time else "8 bits, for its size"
    if kept:
        return "fp32, as asked"
    if not effect.saves_time:
        return "fp32, saves no time"
    return "fp32, for what it changes" if weighed else "fp32, without a budget"


def _time_for_change(effect: Effect) -> float:
    # Gains far below the noise count alike, so that such targets are ordered by change.
    return max(effect.share, LEAST_GAIN / 2) / max(effect.change, 1e-9) ** 2


def _none_found(found: Mapping[tuple[str, ...], float], budget: float) -> str:
    least = f"; the least was {min(found.values()):.4f}" if found else ""
    return (
        f"no choice of layers found with a change of at most {budget:g}{least}; "
        "raise --budget, or export with --precision fp32"
    )
