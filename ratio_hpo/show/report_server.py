"""The report of a study in a browser, made anew when more is known: on this machine alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Known = Callable[[], str]
"""What is known of the study, in a word that changes when it does."""


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
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

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

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if unquote(self.path.partition("?")[0]) != "/":
                    self.send_error(404)
                    return
                try:
                    content = server.page()
                except Exception as error:  # the storage may be away for a while; the next request asks again
                    self.send_error(503, explain=str(error).splitlines()[0] if str(error) else None)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is said of requests."""

        return Handler
