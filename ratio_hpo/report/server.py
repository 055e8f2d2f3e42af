"""Local server for the report of a study, which is rebuilt when the study changes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from ratio_hpo.core.urls import reason_of

Known = Callable[[], str]
"""Returns a version of the study that changes whenever the study changes."""


MAX_REQUESTS, TIMEOUT = 32, 10.0
"""Maximum number of concurrent requests, and timeout of a request in seconds."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _server_of(host: str) -> type[ThreadingHTTPServer]:
    """Return the server class for an IPv4 or IPv6 host."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    return Server


class ReportServer:
    """A server of one page in a separate thread.

    Args:
        make: Returns the page.
        known: Returns the version of the study; the page is rebuilt when it changes.
        host: Address to listen on.
        port: Port to listen on; 0: any free port.

    Raises:
        OSError: If the port is in use.
    """

    def __init__(self, make: Callable[[], str], known: Known, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._make, self._known = make, known
        self._page: tuple[str, bytes] | None = None
        self._lock = threading.Lock()
        self._host = host
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)
        self._server = _server_of(host)((host, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        host, port = str(self._server.server_address[0]), self._server.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> bytes:
        """Return the current page; only one thread at a time builds it."""
        with self._lock:
            version = self._known()
            if self._page is None or self._page[0] != version:
                self._page = (version, self._make().encode())
            return self._page[1]

    def is_ours(self, asked: str) -> bool:
        """Return whether the Host header of a request names this server, which prevents DNS rebinding."""
        name = asked.rpartition(":")[0] if not asked.endswith("]") and ":" in asked else asked
        return self._host not in LOOPBACK or name.strip("[]").lower() in LOOPBACK

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT
            server_version, sys_version = "ratio-hpo", ""

            def handle(self) -> None:
                if not server._free.acquire(timeout=TIMEOUT):
                    return
                try:
                    with suppress(ConnectionError, TimeoutError):  # the client has disconnected
                        super().handle()
                finally:
                    server._free.release()

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if not server.is_ours(self.headers.get("Host", "")):
                    self.send_error(403, explain="open this page at the address that it is served at")
                    return
                if unquote(self.path.partition("?")[0]) != "/":
                    self.send_error(404)
                    return
                try:
                    content = server.page()
                except Exception as error:  # the storage may be unavailable for a while; the next request retries
                    self.send_error(503, explain=reason_of(error))
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Do not log requests."""

        return Handler
