"""Downloads: over https only, bounded in size and time, never from another place."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from espressivo.errors import ModelError
from espressivo.text import reason_of, to_line
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 65_536
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Patience:
    """How slow a host may be.

    Attributes:
        wait_s: Longest wait for a connection, in seconds.
        least_bytes: What must arrive in every `wait_s` until the file is complete.
    """

    wait_s: float = 30.0
    least_bytes: int = 16_000


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is being downloaded.

    Attributes:
        n_bytes: Size that the host announces; None: it announces none.
        blocks: Content, in blocks of at most 64 kB; each is read once.
    """

    n_bytes: int | None
    blocks: Iterator[bytes]


def require_safe(url: str) -> None:
    """Raise an error unless a URL is https, or http of this machine.

    Raises:
        ModelError: It is of another scheme, or contains a password.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # the port is parsed when it is read
    except ValueError as error:
        raise ModelError(f"{url}: is no URL ({error})") from error
    # urllib would take the password for a part of the host, and errors would show it.
    if parts.username is not None or parts.password is not None:
        raise ModelError(f"{parts.scheme}://...@{host}: has a password; leave it out")
    if not host or parts.scheme not in ("https", "http"):
        raise ModelError(f"{url}: is no https URL; pass one, such as https://HOST/PATH")
    if parts.scheme == "http" and host not in _THIS_MACHINE:
        raise ModelError(
            f"{url}: is http, so that anybody on the way could exchange the model; "
            "pass an https URL"
        )


@contextmanager
def downloading(url: str, most_bytes: int, patience: Patience) -> Iterator[Download]:
    """Open a URL for download; redirects are followed where `require_safe` lets them.

    Args:
        url: The URL of a file.
        most_bytes: Largest size of the file, in bytes.
        patience: How slow the host may be.

    Raises:
        ModelError: The host cannot be reached, answers with an error or too slowly, or
            sends fewer bytes than it announced or more than `most_bytes`. Reading
            `blocks` raises it too.
    """
    with _Watch(patience) as watch:
        with _told(url, watch):
            response = _opened(url, watch)
        with closing(response):
            n_bytes = response.length  # which decreases while it is read
            if n_bytes is not None and n_bytes > most_bytes:
                raise ModelError(
                    f"{url}: has {n_bytes} bytes, and {most_bytes} at most were "
                    "expected; another file is there"
                )
            blocks = _blocks(url, response, most_bytes, watch)
            yield Download(n_bytes, blocks)


def _blocks(
    url: str, response: http.client.HTTPResponse, most_bytes: int, watch: _Watch
) -> Iterator[bytes]:
    announced = response.length
    while True:
        with _told(url, watch):
            block = response.read1(_BLOCK)
        if not block:
            break
        watch.n_bytes += len(block)
        if watch.n_bytes > most_bytes:
            raise ModelError(
                f"{url}: sends more than the {most_bytes} bytes that were expected; "
                "another file is there"
            )
        yield block
    # read1 takes a closed connection for the end; so it ends when the watch closes it.
    with _told(url, watch):
        if announced is not None and watch.n_bytes < announced:
            raise http.client.IncompleteRead(b"", announced - watch.n_bytes)
        if watch.has_ended_it:
            raise TimeoutError


@contextmanager
def _told(url: str, watch: _Watch) -> Iterator[None]:
    """Raise the network's errors as `ModelError`."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise ModelError(
            f"{url}: the host answers {error.code} ({error.reason}); "
            "is a model folder or a models.json there?"
        ) from error
    # UnicodeError: the host's name has a part that is no name.
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        patience = watch.patience
        if watch.has_ended_it:
            reason = (
                f"fewer than {patience.least_bytes} bytes came in {patience.wait_s:g} s"
            )
        elif isinstance(error, http.client.IncompleteRead):
            reason = f"it ended after {watch.n_bytes} bytes"
        else:
            cause = error.reason if isinstance(error, URLError) else error
            reason = reason_of(cause) if isinstance(cause, Exception) else str(cause)
        raise ModelError(
            f"{url}: cannot be downloaded ({to_line(reason.strip())}); try again"
        ) from error


class _Watch(threading.Thread):
    """Ends a connection on which too little arrives.

    The time limit of a socket is for one call: a host that sends a byte now and then
    would keep us for ever, in the headers too.
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__(daemon=True)
        self.patience = patience
        self.connection: socket.socket | None = None
        self.n_bytes = 0
        self.has_ended_it = False
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Compare what has arrived, every `wait_s`."""
        before = 0
        while not self._done.wait(self.patience.wait_s):
            if self.n_bytes - before >= self.patience.least_bytes:
                before = self.n_bytes
            elif self.connection is not None:
                self.has_ended_it = True
                with suppress(OSError):
                    # Not that of SSLSocket, which another thread must not call.
                    socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
                return


class _Connection(http.client.HTTPConnection):
    """Connection whose socket a watch can end."""

    watch: _Watch

    def connect(self) -> None:
        super().connect()
        self.watch.connection = self.sock


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    pass


class _Watched(HTTPHandler, HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        HTTPSHandler.__init__(self)
        self._watch = watch

    def do_open(self, http_class: Any, req: Request, **options: Any) -> Any:
        secure = http_class is http.client.HTTPSConnection

        def connection(host: str, **more: Any) -> _Connection:
            made = (_SecureConnection if secure else _Connection)(host, **more)
            made.watch = self._watch
            return made

        return super().do_open(connection, req, **options)


def _opened(url: str, watch: _Watch) -> http.client.HTTPResponse:
    opener = OpenerDirector()
    # Without urllib's handler of redirects, which reads their bodies, however long.
    for handler in (
        ProxyHandler(),
        _Watched(watch),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    for _ in range(_MOST_REDIRECTS + 1):
        require_safe(url)
        # A default name of urllib is refused by some hosts.
        headers = {"User-Agent": f"espressivo/{__version__}"}
        request = Request(url, headers=headers)  # noqa: S310  # require_safe checks it
        try:
            found: http.client.HTTPResponse = opener.open(
                request, timeout=watch.patience.wait_s
            )
        except HTTPError as error:
            to = error.headers.get("Location")
            if error.code not in _REDIRECTS or not to:
                raise
            error.close()
            url = _next(url, to)
        else:
            return found
    raise ModelError(f"{url}: the host sends us on and on; pass the last URL")


def _next(url: str, to: str) -> str:
    """Return the URL of a redirect, relative ones resolved."""
    try:
        found = urljoin(url, to)
    except ValueError as error:
        raise ModelError(f"{url}: sends us to {to}, which is no URL") from error
    if url.startswith("https:") and not found.startswith("https:"):
        raise ModelError(
            f"{url}: sends us to {found}, away from https; pass the URL of another host"
        )
    return found
