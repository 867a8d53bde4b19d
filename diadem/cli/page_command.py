"""The command that shows the archive in a browser: `diadem page`."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from typing import Annotated

import typer

from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.cli.output import print_json
from diadem.model.plain_text import count_text


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(page)


def page(
    where: Annotated[
        str | None, typer.Argument(metavar="NODE", help="A node's folder, or https://… (login). Default: as --node.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="Port on this machine; 0 for any free one.", min=0, max=65535)
    ] = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nothing can be changed from the page.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Show the archive in your browser, to you alone, until Ctrl-C."""
    from diadem.page.serve import serve

    def told(address: str) -> None:
        if json:
            print_json({"page": {"address": address, "read_only": read_only}})
            sys.stdout.flush()  # who waits for it must not wait for the end
        else:
            print(f"The page of this archive, for one browser: {address}", flush=True)
            print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        if browser:
            from diadem.page.guard import opened_entrance

            ending.enter_context(opened_entrance(address))

    def leaving(jobs: int) -> None:
        print(f"Stopping {count_text(jobs, 'job')}: what was done is kept.", file=sys.stderr, flush=True)

    with ExitStack() as ending, opened(where or node, user) as found:
        serve(found, port=port, read_only=read_only, told=told, leaving=leaving)
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(1)
            if thread.is_alive():  # it asks a share that never answers, and Python would wait for it
                os._exit(0)
    return 0
