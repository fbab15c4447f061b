"""Where a server listens, what it is called there, and why it cannot."""

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
    """An address of this machine, and a port of it.

    Attributes:
        family: Of its socket.
        ip: In numbers.
        port: 0: any that is free.
    """

    family: socket.AddressFamily
    ip: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """Look up a name or an address.

        Raises:
            ServeError: It is no address of any machine.
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
        """Turn what fails while listening there into a line.

        Args:
            host: What the user called it.

        Raises:
            ServeError: The address cannot be had.
        """
        try:
            yield
        except OSError as error:
            raise ServeError(_why_not(error, host, self.port)) from error

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.ip.partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        """Where this machine's browser finds it."""
        # Who listens everywhere listens here; only here is the microphone given.
        here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
        return f"http://{here.get(self._name, self._name)}:{self.port}/"

    @property
    def names(self) -> frozenset[str]:
        """What a loopback address is called on this machine."""
        return frozenset({"127.0.0.1", "localhost", "[::1]", self._name})

    @property
    def _name(self) -> str:
        return f"[{self.ip}]" if ":" in self.ip else self.ip


def host_name(hosts: Sequence[str]) -> str | None:
    """Return the name in a request's Host headers; None if it is not one, or none."""
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
