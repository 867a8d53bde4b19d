"""What a worker did, in numbers: requests, bytes, refusals, seconds. No name of anybody and nothing of what was asked.

Every worker leaves its numbers in a file of its own; whoever answers the scraper adds them up.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from diadem.errors import Refused
from diadem.network.http.address import Address
from diadem.node.tell.figures import FIGURES, Row, label_text, prometheus_text
from diadem.store.whole import write_whole

#: Upper bounds of the histogram, in seconds.
BOUNDS: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
#: Seconds between two writings of a worker's numbers.
EVERY: Final = 2.0
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HELP: Final[dict[str, tuple[str, str]]] = {
    "requests_total": ("counter", "Requests that were answered, by route and status."),
    "request_seconds": ("histogram", "Seconds from the head of a request to the head of its answer."),
    "received_bytes_total": ("counter", "Bytes of bodies that came in."),
    "sent_bytes_total": ("counter", "Bytes of bodies that went out."),
    "refused_total": ("counter", "Requests that were turned away, by reason."),
    "open_requests": ("gauge", "Requests that are being answered."),
    "waiting_requests": ("gauge", "Of these, those that wait for news."),
    "workers": ("gauge", "Processes that answer."),
    "job_runs_total": ("counter", "Runs of periodic jobs, by job and result."),
    "hub_bytes": ("gauge", "Sealed bytes that wait at this hub."),
    "hub_objects": ("gauge", "Sealed windows that wait at this hub."),
    "hub_messages": ("gauge", "Sealed messages that wait at this hub."),
    "hub_relays": ("gauge", "Relays that are open at this hub."),
    "started_seconds": ("gauge", "When the server was started, in seconds since 1970."),
}


class Counts:
    """Numbers by name and labels, for many threads."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], float] = defaultdict(float)
        self._lock = threading.Lock()
        self._written = 0.0
        self._changed = True

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a number."""
        with self._lock:
            self._values[name, label_text(labels)] += amount
            self._changed = True

    def request(self, route: str, status: int, *, seconds: float, received: int, sent: int) -> None:
        """Count one request."""
        with self._lock:
            values = self._values
            values["requests_total", label_text({"route": route, "status": str(status)})] += 1
            values["received_bytes_total", ""] += received
            values["sent_bytes_total", ""] += sent
            for bound in (*BOUNDS, "+Inf"):
                within = bound == "+Inf" or seconds <= float(bound)
                values["request_seconds_bucket", label_text({"route": route, "le": str(bound)})] += int(within)
            values["request_seconds_count", label_text({"route": route})] += 1
            values["request_seconds_sum", label_text({"route": route})] += seconds
            self._changed = True

    def rows(self) -> list[tuple[str, str, float]]:
        """Name, labels and value of each."""
        with self._lock:
            return [(name, labels, value) for (name, labels), value in self._values.items()]

    def leave(self, path: Path) -> None:
        """Write the numbers, where they changed and not too often."""
        now = time.monotonic()
        with self._lock:
            if not self._changed or now - self._written < EVERY:
                return
            self._changed, self._written = False, now
        write_whole(path, json.dumps(self.rows()).encode())


def metrics_text(counts: Counts, folder: Path, more: Callable[[], Iterable[Row]] = tuple) -> str:
    """All numbers in Prometheus's text format: those given, what workers left in a folder, and `more`."""
    return prometheus_text(_HELP | dict(FIGURES), [*more(), *counts.rows(), *_left(folder)])


def _left(folder: Path) -> Iterable[Row]:
    for path in folder.glob("*.json"):
        try:
            yield from ((str(name), str(labels), float(value)) for name, labels, value in json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue  # it is being replaced, or its worker ended


class MetricsServer:
    """Answers ``GET /metrics``, on an address of its own, for reading only.

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
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

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
