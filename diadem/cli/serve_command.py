"""The command that listens: `diadem serve`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from diadem.cli.node_options import Json, NodeAt, Quiet, opened, unattended
from diadem.cli.output import print_json, tell
from diadem.model.plain_text import count_text

if TYPE_CHECKING:
    from diadem.server.serving import Serving


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(serve)


def serve(
    listen: Annotated[
        str,
        typer.Option(
            "--listen", help="Address and port; none: call others only. Default: the last, else 0.0.0.0:8642."
        ),
    ] = "",
    url: Annotated[
        list[str] | None,
        typer.Option("--url", help="Its address for others: https://archive.example.org:8642. Kept; may be repeated."),
    ] = None,
    hub: Annotated[
        bool | None, typer.Option("--hub/--no-hub", help="Relay sealed packages between peers. Kept. See docs/hub.md")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Server processes; with more than one, pushes are refused.", min=1, max=64)
    ] = 1,
    metrics: Annotated[str, typer.Option("--metrics", help="Show metrics for Prometheus there: 127.0.0.1:9464.")] = "",
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Listen for other nodes and call them, until Ctrl-C. Every request must be signed by a peer or a user."""
    from diadem.server.address import Address
    from diadem.server.remembering import remembered
    from diadem.server.serving import Plan, serve

    with unattended(quiet=quiet), opened(node) as found:
        found.context.require_writable()
        plan = Plan(
            remembered(found.context, listen=listen, urls=url or (), hub=hub),
            workers=workers,
            metrics=Address.parse(metrics, port=9464) if metrics else None,
            quiet=quiet,
        )
        serve(found.context, plan, told=lambda started: show_serving(started, as_json=json))
    return 0


def show_serving(started: Serving, *, as_json: bool) -> None:
    """Print what is said when a server begins."""
    if as_json:
        print_json({"serving": started.to_dict()})
        sys.stdout.flush()  # who waits for it must not wait for the end
        return
    if not started.listen:
        _tell_calling(started)
        return
    pending = f", and {started.pending} to be confirmed (diadem peer ls)" if started.pending else ""
    lines = [
        f"node             {started.name}",
        f"id               {started.node}",
        f"listening at     {started.listen}",
        *(f"others call      {url}" for url in started.urls),
        f"TLS key          {started.tls}",
        f"serves           {count_text(started.packages, 'package')}, each to whom it was granted",
        f"may ask          {count_text(started.peers, 'peer')}{pending}; {count_text(started.users, 'user')}",
        *(["hub              relays sealed packages between peers: diadem status"] if started.hub else []),
        *(f"WARNING          hubs do not collect from hubs: nothing comes from '{hub}'" for hub in started.left_hubs),
        *([f"metrics          http://{started.metrics}/metrics"] if started.metrics else []),
        "stop             Ctrl-C",
    ]
    if not started.urls:
        lines.insert(3, "others call      nobody can yet: give the address once, diadem serve --url https://HOST:PORT")
    for line in lines:
        tell(line)


def _tell_calling(started: Serving) -> None:
    tell(f"node             {started.name}")
    tell(f"id               {started.node}")
    tell("listening at     nowhere: this node calls its peers and hubs")
    tell(f"hubs             {', '.join(started.hubs) or 'none: diadem peer join TICKET   (of a hub)'}")
    tell("stop             Ctrl-C")
