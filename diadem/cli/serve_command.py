"""The command that listens: `diadem serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from diadem.cli.node_options import Json, NodeAt, Quiet, opened
from diadem.cli.output import print_json, tell


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(serve)


def serve(
    listen: Annotated[
        str, typer.Option("--listen", help="Address and port of this machine. Default: 0.0.0.0:8642.")
    ] = "",
    workers: Annotated[int, typer.Option("--workers", help="Processes that answer.", min=1, max=64)] = 1,
    metrics: Annotated[str, typer.Option("--metrics", help="Show numbers for Prometheus here: 127.0.0.1:9464.")] = "",
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Listen for other nodes, until Ctrl-C. Every request must be signed by a peer or a user of this node."""
    from diadem.server.address import Address
    from diadem.server.serving import Plan, Serving, serve

    def told(started: Serving) -> None:
        if json:
            print_json({"serving": started.to_dict()})
            return
        tell(f"node             {started.name}")
        tell(f"id               {started.node}")
        tell(f"listening at     {started.listen}")
        tell(f"TLS key          {started.tls}")
        if started.metrics:
            tell(f"numbers          http://{started.metrics}/metrics")
        tell("stop             Ctrl-C")

    plan = Plan(
        Address.parse(listen or "0.0.0.0"),  # noqa: S104  a listener for others
        workers=workers,
        metrics=Address.parse(metrics, port=9464) if metrics else None,
        quiet=quiet,
    )
    with opened(node) as found:
        found.context.require_writable()
        serve(found.context, plan, told=told)
    return 0
