"""The listener for whoever collects numbers: Prometheus's text, on an address of its own, for reading only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from diadem.errors import Refused
from diadem.network.http.address import Address

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Numbers:
    """Answers ``GET /metrics``.

    Parameters
    ----------
    address : Address
        Where; best on the loopback, for nobody is asked who they are.
    text : callable
        The numbers as text.

    Raises
    ------
    Refused
        The address is not free.
    """

    def __init__(self, address: Address, text: Callable[[], str]) -> None:
        try:
            self._server = ThreadingHTTPServer((address.host, address.port), _handler(text))
        except OSError as error:
            raise Refused(
                f"the metrics cannot be shown there: {error.strerror or error}",
                where=str(address),
                next="Choose another: --metrics 127.0.0.1:9464",
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="numbers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _handler(text: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version = "diadem"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            data = text().encode()
            self.send_response(200)
            self.send_header("content-type", _TYPE)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing: it is asked every few seconds."""

    return Handler
