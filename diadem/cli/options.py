"""Options that several commands have, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diadem.model.ports import Listener

if TYPE_CHECKING:
    from diadem.api.nodes import Node
else:
    Node = Any  # a command's signature is read to find its options, and none of them needs the room of the node

__all__ = ["Listener", "Node"]


def _rate(text: str) -> float:
    from diadem.node.rules.measures import read_rate

    return read_rate(text)


# What every command may have; `Commands.verb` adds them to those that need them.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
NodeAt = Annotated[str | None, typer.Option("--node", help="A node's folder, a store to read, or https://… (login).")]
As = Annotated[str | None, typer.Option("--user", help="Act as this user. Default: the node's first.")]

# How the work is done.
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Use this many processes of this machine.", min=1)]
Dask = Annotated[str | None, typer.Option("--dask", help="Use a Dask cluster: tcp://scheduler:8786.")]
MaxRate = Annotated[
    float | None,
    typer.Option("--max-rate", help="Limit per second, to leave disk and network to others: 50MB.", parser=_rate),
]

# What is meant, and why.
Package = Annotated[str, typer.Argument(help="Which package.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the log.")]
ClockIsRight = Annotated[
    bool, typer.Option("--clock-is-right", help="The clock is right: years did pass without a log entry.")
]
StoreOf = Annotated[str | None, typer.Option("--store", help="Store that takes it. Default: the first with room.")]
Ticket = Annotated[str, typer.Argument(help="The ticket; - reads it from standard input.")]

# What is said of a session.
Meta = Annotated[Path | None, typer.Option("--meta", help="Session, sample, people, instrument: a JSON or TOML file.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse if any file cannot be archived.")]
