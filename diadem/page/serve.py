"""The page of a node on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import ctypes
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from diadem.errors import Refused, UsageError

if TYPE_CHECKING:
    from diadem.api.nodes import Node

#: No other machine reaches it there.
HOST: Final = "127.0.0.1"
#: Seconds for which what is being answered may go on after Ctrl-C.
_FAREWELL: Final = 3


def serve(node: Node, *, port: int = 0, read_only: bool = False, told: Callable[[str], None]) -> None:
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
        settings = uvicorn.Config(
            make_app(node, keys, read_only=read_only),
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_FAREWELL,
        )
        server = uvicorn.Server(settings)
        with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
            told(keys.new_address())
            server.run(sockets=[listener])


def _give_back_memory() -> None:
    """Have the C library of Linux give back at once what is freed, from 256 KiB: a page stays open for days.

    By itself it keeps what pieces of files and pictures have needed, in a heap for each thread: after some drawings
    that is more than all that is alive.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not of this library: nothing to be done
        library = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, 256 << 10), (_TRIM_THRESHOLD, 1 << 20), (_ARENAS, 2)):
            library.mallopt(option, value)


#: Options of `mallopt` in <malloc.h>.
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENAS = -3, -1, -8


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
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
