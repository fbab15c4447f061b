"""Access control: the Host header, the Origin header, and the bearer token."""

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
"""WebSocket subprotocol of streams; clients are not required to offer it."""

_BEARER = "bearer."
# These characters are valid both in a header and in the name of a subprotocol.
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,512}")


@dataclass(frozen=True, slots=True)
class Security:
    """Rules for admitting requests.

    Attributes:
        names: Accepted host names of the server; None: any.
        token: Bearer token that clients must send; None: no token is needed.
        origins: Additional origins whose pages are allowed.
    """

    names: frozenset[str] | None
    token: str | None
    origins: frozenset[str] = frozenset()

    def require_host(self, headers: Headers) -> None:
        """Check the Host header, against DNS rebinding.

        Raises:
            Refused: The header does not contain one of `names`.
        """
        name = host_name(headers.getlist("host"))
        if self.names is not None and name not in self.names:
            raise Refused(
                Reason.BAD_HOST, "this server answers to the names of localhost only"
            )

    def require_origin(self, headers: Headers) -> str | None:
        """Check the Origin header; return the origin, or None without the header.

        Raises:
            Refused: The page belongs to another host and is not allowed.
        """
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
        try:
            page = urlsplit(origin)
        except ValueError:  # such as `http://[`
            return False
        if page.scheme not in ("http", "https"):
            return False
        name = host_name([page.netloc])
        # On loopback, `names` are synonyms of one host.
        return name is not None and (
            name == host_name(headers.getlist("host"))
            or (self.names is not None and name in self.names)
        )

    def require_token(self, headers: Headers) -> None:
        """Check the bearer token.

        Clients send it in `Authorization: Bearer`. Web pages cannot set that header for
        a WebSocket; they offer the subprotocol `bearer.TOKEN` instead.

        Raises:
            Refused: The token is missing or wrong.
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
        # compare_digest takes constant time, so timing reveals nothing of the token.
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
    """Return the token in the text of a file or variable.

    Args:
        text: Token, with or without surrounding white space.
        source: Name of the file or variable in messages.

    Raises:
        ServeError: The token is too short or too long, or contains other characters.
    """
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise ServeError(
            f"{source}: holds no token of 16 to 512 letters, digits and . _ ~ -; "
            "make one with: openssl rand -hex 32"
        )
    return token


def checked_origin(text: str) -> str:
    """Return an origin in lower case, as browsers send it.

    Raises:
        ServeError: The text is not an origin.
    """
    try:
        page = urlsplit(text.lower())
    except ValueError:
        page = urlsplit("")
    if page.scheme not in ("http", "https") or text.lower() != (
        f"{page.scheme}://{page.netloc}"
    ):
        raise ServeError(
            f"{text}: is no origin; give --allow-origin one such as https://example.org"
        )
    return text.lower()
