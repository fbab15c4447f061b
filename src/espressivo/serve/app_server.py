"""HTTP server of the browser app, built on the standard library only.

It serves static files: audio is analysed in the page and never sent. Requests are
logged only if a log is given.
"""

from __future__ import annotations

import re
import socketserver
import sys
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from espressivo.serve.addresses import (
    Address,
    host_name,
)
from espressivo.serve.app_files import (
    AppFiles,
    Content,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""The Content-Security-Policy, equal to that in the page itself (web/index.html)."""

HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    # Cross-origin isolation: browsers require it for threads (SharedArrayBuffer).
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Security headers of every response, errors included."""

# Accept-Encoding with `gzip;q=0` refuses gzip (RFC 9110, section 12.5.3).
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class AppServer(ThreadingHTTPServer):
    """Server of the app; it listens once created and responds in `serve_forever`.

    On a loopback address it accepts only that address's names in the Host header, so
    that no website can reach it through DNS rebinding. Responses are not compressed
    there, since that takes longer than it saves.

    Args:
        app: Folder of the built app.
        host: Host name or IP address of this machine.
        port: Port number; 0: any free port.
        log: Callback that receives one line per request; None: no log.

    Raises:
        ServeError: The server cannot listen on the address.
    """

    daemon_threads = True  # idle connections of browsers must not delay the exit
    request_queue_size = 64
    # SO_REUSEADDR on Windows would allow two servers on the same port.
    allow_reuse_address = sys.platform != "win32"

    def __init__(
        self,
        app: Path,
        host: str = "127.0.0.1",
        port: int = 8765,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.address = Address.of(host, port)
        self.address_family = self.address.family
        with self.address.explained(host):
            super().__init__((self.address.ip, port), _Handler)
        self.address = replace(self.address, port=int(self.server_address[1]))
        self.log = log
        self.files = AppFiles(app, zipped=not self.is_loopback)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.address.is_loopback

    @property
    def url(self) -> str:
        """URL of the server for a browser on this machine."""
        return self.address.url

    def answers_to(self, hosts: list[str]) -> bool:
        """Return whether Host headers name this server (DNS rebinding protection)."""
        return not self.is_loopback or host_name(hosts) in self.address.names

    def server_bind(self) -> None:
        """Bind to the address without the reverse DNS lookup of HTTPServer.

        The lookup can take seconds.
        """
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore closed connections and time-outs; print the traceback of bugs."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: AppServer
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # 0.9 would omit headers for bad requests
    disable_nagle_algorithm = True
    timeout = 60  # seconds that a connection may idle

    def do_GET(self) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = (
                True  # the unread body must not be parsed as the next request
            )
        if not self.server.answers_to(self.headers.get_all("Host", [])):
            self.send_error(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server answers to localhost only; open {self.server.url}",
            )
        elif (content := self.server.files(self.path)) is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(content)

    do_HEAD = do_GET  # noqa: N815 - the name that the library looks up

    def _send(self, content: Content) -> None:
        asked_for = self.headers.get("If-None-Match", "")
        is_known = content.tag in re.findall(r'"([^"]*)"', asked_for)
        self.send_response(HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK)
        # The tag is weak, since it also identifies the compressed body.
        self.send_header("ETag", f'W/"{content.tag}"')
        self.send_header(
            "Cache-Control",
            "public, max-age=31536000, immutable"
            if content.is_immutable
            else "no-cache",
        )
        if content.zipped is not None:
            self.send_header("Vary", "Accept-Encoding")
        if is_known:
            self.end_headers()
            return
        body = content.body
        if content.zipped and _GZIP.search(self.headers.get("Accept-Encoding", "")):
            body = content.zipped
            self.send_header("Content-Encoding", "gzip")
        self._send_body(content.type, body)

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 - of the library
    ) -> None:
        """Send one line of text and close the connection."""
        if code == HTTPStatus.NOT_IMPLEMENTED:  # the library's status for a POST
            code, message = HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are"
        self.send_response(code)
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        text = ": ".join(filter(None, (HTTPStatus(code).phrase, message)))
        self._send_body("text/plain; charset=utf-8", f"{code} {text}\n".encode())

    def _send_body(self, type_: str, body: bytes) -> None:
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Add the security headers and end the header section."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Return the Server header; the default would reveal the Python version."""
        return "espressivo"

    def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
        """Log the request line and the status, without the client's address."""
        if self.server.log is not None:
            status = code.value if isinstance(code, HTTPStatus) else code
            self.server.log(f"{self.requestline!r} {status}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Suppress all other log messages."""
