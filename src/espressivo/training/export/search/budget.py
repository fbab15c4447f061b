"""Which layers are best left exact when the file may be somewhat larger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from espressivo.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from espressivo.training.export.search.targets import Site


def spend(
    sites: Iterable[Site],
    n_bytes: int,
    largest_bytes: int,
    changes: Mapping[str, float],
) -> list[str]:
    """Name the layers to keep in fp32: where a byte takes off most of the change.

    The changes that layers make are about independent, so their squares add up.

    Args:
        sites: With weights, all of which are rounded so far.
        n_bytes: Size of that graph.
        largest_bytes: Size that it may grow to.
        changes: Site -> mean change of a probability with it alone rounded.

    Raises:
        ExportError: It is too large as it is.
    """
    spare = largest_bytes - n_bytes
    if spare < 0:
        raise ExportError(
            f"the int8 graph has {n_bytes / 1e6:.2f} MB, more than the "
            f"{largest_bytes / 1e6:.2f} MB allowed; allow more, or train fewer blocks"
        )
    chosen = []
    for site in sorted(sites, key=lambda s: -(changes[s.name] ** 2) / s.bytes_saved):
        if site.bytes_saved <= spare:
            spare -= site.bytes_saved
            chosen.append(site.name)
    return chosen
