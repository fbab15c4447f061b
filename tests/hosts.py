"""Static hosts on this machine, of which some mean harm."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = b"\0" * 65_536


class Host:
    """An http host that answers what its routes say, and counts what it is asked.

    Attributes:
        routes: By path: the body, or a function of the request's handler.
        asked: Paths that were asked for, oldest first.
        url: URL of the host, with a slash at the end.
    """

    def __init__(self, server, scheme):
        self.routes = {}
        self.asked = []
        self.ended = threading.Event()  # handlers that wait end with the host
        self.url = f"{scheme}://localhost:{server.server_port}/"

    def add(self, folder, name=None):
        """Serve the files of a folder below its name."""
        for file in folder.iterdir():
            if file.is_file():
                path = f"/{name or folder.name}/{file.name}"
                self.routes[path] = file.read_bytes()

    def answer(self, handler):
        self.asked.append(handler.path)
        route = self.routes.get(handler.path)
        if route is None:
            handler.send_error(404)
        elif callable(route):
            route(handler)
        else:
            send(handler, route)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing of connections that the client has closed."""


@contextmanager
def hosting(context=None):
    """Yield a host; with a TLS context, an https one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with suppress(OSError):
                host.answer(self)
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = _Server(("localhost", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    host = Host(server, "http" if context is None else "https")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield host
    finally:
        host.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler, body, *, length=None, status=200, **headers):
    """Answer with a body; `length` is what is announced."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(to, status=302):
    """Return a route to another URL."""
    return lambda handler: send(handler, b"", status=status, Location=to)


def endless(handler, status=200, **headers):
    """Announce no length, and never stop."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    while True:
        handler.wfile.write(BLOCK)


def endless_chunks(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))


def dripping(host, before, piece):
    """Return a route that sends `before` at once, and then `piece` again and again."""

    def drip(handler):
        handler.wfile.write(before)
        while not host.ended.wait(0.02):
            handler.wfile.write(piece)

    return drip
