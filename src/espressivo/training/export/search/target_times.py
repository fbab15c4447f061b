"""What each product's time is before and after rounding, from profiles of both graphs.

A product's time is that of the product itself, of padding and unfolding what enters it,
and of rounding that: a value that enters several products is shared among them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from espressivo.bench import profile
from espressivo.training.export.graph.data_movement import (
    moved_inputs,
    producers,
    source_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx

    from espressivo.bench import GraphProfile
    from espressivo.training.export.quantize.matmuls import Product

# As rounding.py calls what it makes of a value, and tiling.py of each tile.
_ROUNDED = (".u8", ".s8", ".summed", ".rounded.u8", ".rounded.s8")
_TILE = re.compile(r"\.tile\.\d+$")


def shares_saved(
    exact: onnx.ModelProto,
    rounded: onnx.ModelProto,
    products: Sequence[Product],
    rounds: int = 5,
) -> tuple[dict[str, float], float]:
    """Return what each product saves, as a share of all time, and that in seconds.

    The two graphs are profiled in turn, so that a busy machine slows both alike.

    Args:
        exact: In fp32.
        rounded: The same with `products` rounded.
        products: Of `exact`.
        rounds: Profiles of each graph; medians count.

    Returns:
        Product -> share of the exact graph's time; that time, of a window of 8 s on one
        thread.
    """
    owners = owners_of(exact, products)
    graphs = [model.SerializeToString() for model in (exact, rounded)]
    saved: dict[str, list[float]] = defaultdict(list)
    seconds = []
    for _ in range(rounds):
        before, after = (profile(graph, runs=3) for graph in graphs)
        seconds.append(before.seconds)
        spent, spent_after = _by_owner(before, owners), _by_owner(after, owners)
        for product in products:
            gain = spent[product.name] - spent_after[product.name]
            saved[product.name].append(gain / before.seconds)
    return {name: median(shares) for name, shares in saved.items()}, median(seconds)


def owners_of(
    exact: onnx.ModelProto, products: Iterable[Product]
) -> dict[str, tuple[str, ...]]:
    """Map values of both graphs to the products that their nodes are there for."""
    made_by = producers(exact)
    owners: dict[str, list[str]] = defaultdict(list)
    for product in products:
        owned = {product.output: None, product.name: None}
        owned |= {f"{product.output}{end}": None for end in (".wide", ".levels")}
        owned |= {f"{product.weight}.rounded": None}
        for entering in filter(None, (product.value, product.second)):
            source = source_of(made_by, entering)
            moved = [*_moved(made_by, entering, source)]
            owned |= dict.fromkeys(moved)
            owned |= {f"{v}{end}": None for v in [source, *moved] for end in _ROUNDED}
        for value in owned:
            owners[value].append(product.name)
    return {value: tuple(names) for value, names in owners.items()}


def _moved(
    made_by: dict[str, onnx.NodeProto], value: str, source: str
) -> Iterator[str]:
    """Yield what stands between a source and a value, the value included."""
    if value == source:
        return
    yield value
    for before in moved_inputs(made_by[value]):
        yield from _moved(made_by, before, source)


def _by_owner(
    found: GraphProfile, owners: dict[str, tuple[str, ...]]
) -> dict[str, float]:
    spent: dict[str, float] = defaultdict(float)
    for node in found.nodes:
        output = _TILE.sub("", node.output)
        if node.operator.startswith("QLinear"):  # rounds what it computes by itself
            output = output.removesuffix(".u8").removesuffix(".s8")
        names = owners.get(output, ())
        for name in names:
            spent[name] += node.seconds / len(names)
    return spent
