"""Who may ask: the Host header, the Origin header, and the token."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from espressivo.errors import ServeError
from espressivo.serve.addresses import host_name
from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)

if TYPE_CHECKING:
    from starlette.datastructures import Headers

SUBPROTOCOL = "espressivo"
"""What a stream speaks, for clients that name one."""

_BEARER = "bearer."
# Such a token fits both a header and the name of a subprotocol.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,512}")


@dataclass(frozen=True, slots=True)
class Security:
    """Who is let in.

    Attributes:
        names: What the server may be called; None: anything.
        token: What clients must show; None: nothing.
        origins: Of other hosts' pages that may ask too.
    """

    names: frozenset[str] | None
    token: str | None
    origins: frozenset[str] = frozenset()

    def require_host(self, headers: Headers) -> None:
        """Refuse who came through a name that is not ours (DNS rebinding)."""
        name = host_name(headers.getlist("host"))
        if self.names is not None and name not in self.names:
            raise Refused(
                Reason.BAD_HOST, "this server answers to the names of localhost only"
            )

    def require_origin(self, headers: Headers) -> str | None:
        """Refuse pages of other hosts; return the page's origin if it is a page."""
        found = headers.getlist("origin")
        if not found:
            return None
        origin = found[0].lower()
        if len(found) == 1 and (
            origin in self.origins or self._is_ours(origin, headers)
        ):
            return origin
        raise Refused(
            Reason.BAD_ORIGIN,
            "pages of another origin may not ask this server; start it with "
            "--allow-origin ORIGIN if they should",
        )

    def _is_ours(self, origin: str, headers: Headers) -> bool:
        page = urlsplit(origin)
        if page.scheme not in ("http", "https"):
            return False
        name = host_name([page.netloc])
        # On this machine all its names are the same host.
        return name is not None and (
            name == host_name(headers.getlist("host"))
            or (self.names is not None and name in self.names)
        )

    def require_token(self, headers: Headers) -> None:
        """Refuse who does not show the token.

        It stands in `Authorization: Bearer`, or, for pages, which cannot set that on a
        WebSocket, among the subprotocols as `bearer.TOKEN`.
        """
        if self.token is None:
            return
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        offered = [shown.strip()] if scheme.lower() == "bearer" else []
        offered += [
            name.removeprefix(_BEARER)
            for name in subprotocols(headers)
            if name.startswith(_BEARER)
        ]
        right = self.token.encode()
        if not any(hmac.compare_digest(o.encode(), right) for o in offered):
            raise Refused(
                Reason.BAD_TOKEN,
                "the token is missing or wrong; send Authorization: Bearer TOKEN",
            )


def subprotocols(headers: Headers) -> list[str]:
    """Return the subprotocols that a WebSocket's client offers."""
    lines = headers.getlist("sec-websocket-protocol")
    return [name.strip() for line in lines for name in line.split(",")]


def checked_token(text: str, source: str) -> str:
    """Return the token in a file's or a variable's text.

    Args:
        text: With or without a newline at its end.
        source: How messages call where it came from.

    Raises:
        ServeError: It is too short, or holds what a header cannot.
    """
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise ServeError(
            f"{source}: holds no token of 16 to 512 letters, digits and . _ ~ -; "
            "make one with: openssl rand -hex 32"
        )
    return token


def checked_origin(text: str) -> str:
    """Return an origin as browsers send it.

    Raises:
        ServeError: It is none.
    """
    page = urlsplit(text.lower())
    if page.scheme not in ("http", "https") or text.lower() != (
        f"{page.scheme}://{page.netloc}"
    ):
        raise ServeError(
            f"{text}: is no origin; give --allow-origin one such as https://example.org"
        )
    return text.lower()
