"""Address of a server: lookup, names on this machine, and errors in plain words."""

from __future__ import annotations

import errno
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from espressivo.errors import ServeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:]+)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Address:
    """IP address and port that a server listens on.

    Attributes:
        family: Address family of the socket (IPv4 or IPv6).
        ip: Numeric IP address.
        port: Port number; 0: the system chooses a free one.
    """

    family: socket.AddressFamily
    ip: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """Return the address of a host name or IP address.

        Raises:
            ServeError: The name cannot be resolved.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except (OSError, UnicodeError) as error:
            raise ServeError(_why_not(error, host, port)) from error
        return cls(family, str(address[0]), port)

    @contextmanager
    def explained(self, host: str) -> Iterator[None]:
        """Convert an OSError of binding or listening into a ServeError with a remedy.

        Args:
            host: Host as the user wrote it, for messages.

        Raises:
            ServeError: The server cannot listen on the address.
        """
        try:
            yield
        except OSError as error:
            raise ServeError(_why_not(error, host, self.port)) from error

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        # A scope such as `%eth0` follows link-local IPv6 addresses.
        return ip_address(self.ip.partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        """URL of the server for a browser on this machine."""
        # A server on all interfaces is also on loopback. Without HTTPS, browsers allow
        # the microphone on loopback only.
        here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
        return f"http://{here.get(self._name, self._name)}:{self.port}/"

    @property
    def names(self) -> frozenset[str]:
        """Host names of a loopback address on this machine."""
        return frozenset({"127.0.0.1", "localhost", "[::1]", self._name})

    @property
    def _name(self) -> str:
        return f"[{self.ip}]" if ":" in self.ip else self.ip


def host_name(hosts: Sequence[str]) -> str | None:
    """Return the host name in a request's Host headers, without the port.

    None if there is not exactly one header, or if it is malformed.
    """
    found = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
    return None if found is None else found["name"]


def _why_not(error: Exception, host: str, port: int) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return (
            f"port {port} of {host}: is in use, perhaps by another espressivo serve; "
            "choose another with --port, or any that is free with --port 0"
        )
    if number == errno.EACCES:
        return (
            f"port {port} of {host}: this user may not listen there; choose a port "
            "above 1023 with --port"
        )
    if number == errno.EADDRNOTAVAIL or isinstance(
        error, socket.gaierror | UnicodeError
    ):
        return (
            f"{host}: is no address of this machine; give --host one that is, such as "
            "127.0.0.1 (this machine alone) or 0.0.0.0 (its network too)"
        )
    return f"port {port} of {host}: cannot listen there ({error}); choose another"
