"""The page of a node on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

from diadem.errors import Refused, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from diadem.api.nodes import Node
    from diadem.api.staging import Staging
    from diadem.page.drawings import Drawings
    from diadem.page.guard import Keys
    from diadem.page.jobs import Jobs

#: No other machine reaches it there.
HOST: Final = "127.0.0.1"
#: Seconds for which what is being answered may go on after Ctrl-C.
_FAREWELL: Final = 3
#: What is open all day looks for cycles as usual; a command looks for them rarely.
_COLLECTED: Final = (700, 10, 10)
#: Seconds for which the address waits for home to be ready.
_PATIENCE: Final = 5


def serve(
    node: Node, *, port: int = 0, read_only: bool = False, told: Callable[[str], None], leaving: Callable[[int], None]
) -> None:
    """Show a node's pages on this machine alone, until Ctrl-C.

    Parameters
    ----------
    node : Node
        Opened; stays open.
    port : int
        Where; 0 for one that is free.
    read_only : bool
        Whether nothing may be changed.
    told : callable
        Given the one-time address as soon as it answers.
    leaving : callable
        Given how many jobs are being stopped, in the end, if there are any.

    Raises
    ------
    UsageError
        The extra ``page`` is not installed.
    Refused
        The port is taken.
    """
    try:
        import uvicorn

        from diadem.page.app import make_app
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the page needs a package that is not installed: {error.name}", next='pip install "diadem-em[page]"'
        ) from error
    from diadem.page.guard import Keys

    _give_back_memory()
    with _listening(port) as listener:
        keys = Keys(listener.getsockname()[1])
        app = make_app(node, keys, read_only=read_only)
        settings = uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_FAREWELL,
        )
        drawings: Drawings = app.state.drawings

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                super().handle_exit(sig, frame)
                threading.Thread(target=drawings.close, daemon=True).start()  # else it would wait for them

        server = Server(settings)
        app.state.leaving = lambda: server.should_exit
        staging: Staging = app.state.staging
        staging.sweep()
        gc.set_threshold(*_COLLECTED)
        with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
            _load(app, keys)
            told(keys.new_address())
            drawings.prepare()
            server.run(sockets=[listener])
        drawings.close()
        jobs: Jobs = app.state.jobs
        if jobs.running:
            leaving(jobs.running)
        jobs.stop_all()
        staging.close()


def _load(app: ASGIApp, keys: Keys) -> None:
    """Ask for home and for a search as a browser will: what they need is loaded before somebody waits for it."""
    cookie = f"{keys.cookie}={keys.admit(keys.new_address().rpartition('=')[2])}"
    headers = [(b"host", keys.hosts[0].encode()), (b"cookie", cookie.encode())]

    async def ask(path: str, query: bytes) -> None:
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}
        await app(scope, nothing_more, unread)

    async def nothing_more() -> Message:
        await asyncio.Event().wait()  # nobody sends anything, or hangs up: who listens for that waits until the end
        return {"type": "http.disconnect"}

    async def unread(_: Message) -> None:
        """What comes back is nobody's."""

    async def both() -> None:
        await ask("/", b"")
        await ask("/search", b"q=HAADF+voltage%3D300kV")

    loading = threading.Thread(target=lambda: asyncio.run(both()), name="loading", daemon=True)
    loading.start()
    loading.join(_PATIENCE)


def _give_back_memory() -> None:
    """Have the C library of Linux give back at once what is freed, from 4 MiB: a page stays open for days.

    By itself it keeps what pieces of files and pictures have needed, in a heap for each thread: after some drawings
    that is more than all that is alive. Less than 4 MiB is used again: new memory for each leaf that is proven costs
    as much as the proof.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not of this library: nothing to be done
        library = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, 4 << 20), (_TRIM_THRESHOLD, 8 << 20), (_ARENAS, 2)):
            library.mallopt(option, value)


#: Options of `mallopt` in <malloc.h>.
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENAS = -3, -1, -8


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # where it would let another program listen there too; else a port rests for a minute
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise Refused(
            f"port {port} cannot be used: {error.strerror}",
            where=HOST,
            next="Choose another: --port 0 takes a free one.",
        ) from error
    return listener
