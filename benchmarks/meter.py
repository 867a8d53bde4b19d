"""A TCP relay on loopback that counts what passes: the bytes a client really fetches, whatever it says."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Meter:
    """Relay connections to a server and count the bytes that come back.

    Parameters
    ----------
    host, port : str, int
        The server.

    Attributes
    ----------
    received : int
        Bytes from the server so far, protocol headers included. Set it to 0 to start again.
    """

    def __init__(self, host: str, port: int) -> None:
        self.received = 0
        self._server = (host, port)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, sink, counted in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._relay, args=(source, sink, counted), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):  # one side hung up
            while data := source.recv(1 << 18):
                if counted:
                    with self._lock:
                        self.received += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        """The meter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more connections."""
        self._listener.close()
