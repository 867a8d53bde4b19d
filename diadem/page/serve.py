"""The page of a node on this machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from diadem.errors import Refused, UsageError

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.api.staging import Staging
    from diadem.page.jobs import Jobs

#: No other machine reaches it there.
HOST: Final = "127.0.0.1"
#: Seconds for which what is being answered may go on after Ctrl-C.
_FAREWELL: Final = 3


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
        server = uvicorn.Server(settings)
        app.state.leaving = lambda: server.should_exit
        staging: Staging = app.state.staging
        staging.sweep()
        with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
            told(keys.new_address())
            server.run(sockets=[listener])
        jobs: Jobs = app.state.jobs
        if jobs.running:
            leaving(jobs.running)
        jobs.stop_all()
        staging.close()


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
