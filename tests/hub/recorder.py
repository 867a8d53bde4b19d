"""A real hub whose worker writes down everything that comes to it: method, URL, headers and body, as TLS gave them.

Run as a program with a node's folder, a port, a port for numbers, and a file for what came; it prints one JSON line
when it listens. It is served as `diadem serve --hub` serves it; who records is in the process of the hub, below its
gate and its handlers, and knows nothing of who asked.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from diadem.network.exchange import Route

#: Names the file for what came, in the worker's environment.
RECORD: Final = "TESTS_HUB_RECORD"
_LOCK: Final = threading.Lock()


class _Recorded:
    """The protocol of one request, whose body is written down as it is read."""

    def __init__(self, protocol: Any, sink: bytearray) -> None:
        self._protocol, self._sink = protocol, sink

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._protocol:
            self._sink += piece
            yield piece


def routes() -> Sequence[Route]:
    """The usual table; the worker that asks for it writes down from now on what comes, and logs all that there is."""
    from diadem.network.http.app import App
    from diadem.network.http.routes import every_route

    answer, path = App.__rsgi__, Path(os.environ[RECORD])

    async def recorded(self: App, scope: Any, protocol: Any) -> None:
        head = f"{scope.method} {scope.path}?{scope.query_string}\n"
        came = bytearray((head + "".join(f"{name}: {value}\n" for name, value in scope.headers.items())).encode())
        try:
            await answer(self, scope, _Recorded(protocol, came))
        finally:
            with _LOCK, path.open("ab") as sink:
                sink.write(bytes(came) + b"\n\n")

    App.__rsgi__ = recorded  # type: ignore[method-assign]
    for name in (None, "diadem", "diadem.network.http", "diadem.network.http.access"):
        logging.getLogger(name).setLevel(1)
    return every_route()


def main() -> None:
    """Serve until the process is told to end."""
    from diadem.api.nodes import open_node
    from diadem.network.http.address import Address, choose_address
    from diadem.network.http.serve import Announcement, Plan, serve

    folder, port, numbers, os.environ[RECORD] = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    logging.basicConfig(level=1, stream=sys.stderr)

    def told(started: Announcement) -> None:
        sys.stdout.write(json.dumps(started.to_dict()) + "\n")
        sys.stdout.flush()

    with open_node(folder) as node:
        here = f"127.0.0.1:{port}"
        address = choose_address(node.context, listen=here, urls=[f"https://{here}"], hub=True)
        serve(node.context, Plan(address, open_node, metrics=Address("127.0.0.1", numbers), routes=routes), told=told)


if __name__ == "__main__":
    main()
