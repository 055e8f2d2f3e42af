"""The report of a study in a browser, made anew when more is known: on this machine alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from ratio_hpo.core.urls import reason_of

Known = Callable[[], str]
"""What is known of the study, in a word that changes when it does."""


MAX_REQUESTS, TIMEOUT = 32, 10.0
"""Requests that are answered at once, and seconds that one may be silent."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _server_of(host: str) -> type[ThreadingHTTPServer]:
    """A server for the family of an address."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    return Server


class ReportServer:
    """Answers requests for one page, from a thread of its own.

    Args:
        make: makes the page.
        known: of the page's study; while it stays, so does the page.
        port: to listen on; 0: any that is free.

    Raises:
        OSError: the port is taken.
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
        """The page as of now; one at a time makes it."""
        with self._lock:
            known = self._known()
            if self._page is None or self._page[0] != known:
                self._page = (known, self._make().encode())
            return self._page[1]

    def is_ours(self, asked: str) -> bool:
        """Whether a request asks for this machine by its own name: another one may be of a page that was led here."""
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
                    with suppress(ConnectionError, TimeoutError):  # a reader that has left needs no answer
                        super().handle()
                finally:
                    server._free.release()

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if not server.is_ours(self.headers.get("Host", "")):
                    self.send_error(403, explain="this page is for the address that it is served at")
                    return
                if unquote(self.path.partition("?")[0]) != "/":
                    self.send_error(404)
                    return
                try:
                    content = server.page()
                except Exception as error:  # the storage may be away for a while; the next request asks again
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
                """Nothing is said of requests."""

        return Handler
