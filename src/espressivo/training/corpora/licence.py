"""Licences of recordings and weights as data: what each allows, forbids and asks.

A `Licence` says what its text says. Whether trained weights are an adaptation of the
recordings is not settled, so terms on adaptations are reported, not decided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from espressivo.errors import ConfigError

Answer = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """What the terms of a corpus, or of pretrained weights, allow.

    Attributes:
        name: Short name, as in `CC BY 4.0`.
        id: SPDX identifier; for terms that SPDX does not list, one that begins with
            `LicenseRef-`.
        commercial: Whether commercial use is allowed; `unclear` where the terms do not
            say, which no user should take for a yes.
        derivatives: Whether adaptations may be shared.
        redistribution: Whether the recordings themselves may be passed on.
        share_alike: Whether shared adaptations must carry the same licence.
        attribution: Whether the source must be named.
        source: Publication to cite, as in `Livingstone & Russo 2018`.
        url: Page that states the terms.
        note: What a short form leaves out, as a sentence.
    """

    name: str
    id: str
    commercial: Answer
    derivatives: Answer
    redistribution: Answer
    share_alike: bool = False
    attribution: bool = True
    source: str = ""
    url: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.source})" if self.source else self.name


OWN = Licence(
    name="own recordings, or terms that allow any use",
    id="LicenseRef-own",
    commercial="yes",
    derivatives="yes",
    redistribution="unclear",
    attribution=False,
)
"""What a trainer states of recordings that are theirs, or bought for any use."""

RESEARCH = Licence(
    name="research use only",
    id="LicenseRef-research",
    commercial="no",
    derivatives="unclear",
    redistribution="unclear",
)

UNSTATED = Licence(
    name="not known to espressivo",
    id="LicenseRef-unstated",
    commercial="unclear",
    derivatives="unclear",
    redistribution="unclear",
)
"""Terms of recordings or weights of which nobody has stated any."""


def _open(name: str, identifier: str, *, attribution: bool = True) -> Licence:
    return Licence(
        name=name,
        id=identifier,
        commercial="yes",
        derivatives="yes",
        redistribution="yes",
        attribution=attribution,
    )


_KNOWN = {
    "own": OWN,
    "research": RESEARCH,
    "CC0-1.0": _open("CC0 1.0", "CC0-1.0", attribution=False),
    "ODbL-1.0": replace(_open("ODbL 1.0", "ODbL-1.0"), share_alike=True),
    "CDLA-Permissive-2.0": _open("CDLA Permissive 2.0", "CDLA-Permissive-2.0"),
    "MIT": _open("MIT", "MIT"),
    "Apache-2.0": _open("Apache-2.0", "Apache-2.0"),
}
# The parts of a Creative Commons licence are in its name.
_CREATIVE_COMMONS = re.compile(r"CC-BY(-NC)?(-SA|-ND)?-(\d\.\d)")


def find_licence(identifier: str, *, source: str = "", url: str = "") -> Licence:
    """Return a well-known licence.

    >>> str(find_licence("CC-BY-NC-4.0", source="Doe 2020"))
    'CC BY-NC 4.0 (Doe 2020)'

    Args:
        identifier: An SPDX identifier such as `CC-BY-4.0` or `CC0-1.0`; `own` for
            recordings that are yours or bought for any use; `research` for terms that
            allow research only.
        source: Publication to cite.
        url: Page that states the terms.

    Raises:
        ConfigError: The licence is not known.
    """
    found = next(
        (known for key, known in _KNOWN.items() if key.lower() == identifier.lower()),
        None,
    ) or _creative_commons(identifier)
    if found is None:
        raise ConfigError(
            f"'{identifier}', no licence known here; pass CC-BY-4.0 or another of "
            f"Creative Commons, {', '.join(_KNOWN)} (own: recordings that are yours, "
            "or bought for any use)"
        )
    return replace(found, source=source, url=url)


def _creative_commons(identifier: str) -> Licence | None:
    match = _CREATIVE_COMMONS.fullmatch(identifier.upper().replace(" ", "-"))
    if match is None:
        return None
    no_profit, more, version = match.groups(default="")
    return Licence(
        name=f"CC BY{no_profit}{more} {version}",
        id=match[0],
        commercial="no" if no_profit else "yes",
        derivatives="no" if more == "-ND" else "yes",
        redistribution="yes",
        share_alike=more == "-SA",
    )
