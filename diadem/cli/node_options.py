"""What every command on a node has alike: which node, who is at work, JSON, progress."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast

import typer

from diadem.cli.output import plain
from diadem.errors import Refused

if TYPE_CHECKING:
    from diadem.api.nodes import Node

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
NodeAt = Annotated[
    str | None,
    typer.Option(
        "--node",
        help="A node's folder, a store to read, or https://… (login).",
    ),
]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Use this many processes of this machine.", min=1)]
Dask = Annotated[str | None, typer.Option("--dask", help="Use a Dask cluster: tcp://scheduler:8786.")]
MaxRate = Annotated[
    str | None, typer.Option("--max-rate", help="Limit per second, to leave disk and network to others: 50MB.")
]
As = Annotated[str | None, typer.Option("--user", help="Act as this user. Default: the node's first.")]


#: What is meant as an id, with the ellipsis of one that was printed shortened.
_MEANT = re.compile(r"(?:diadem:[0-9a-f]*|[0-9a-f]{8,64})(?:…|\.\.\.)?\Z")


def is_id(text: str) -> bool:
    """Whether an argument names a package of the node, not a folder or an address; the node judges if it is whole."""
    return bool(_MEANT.match(text)) and not os.path.lexists(text)


@contextmanager
def unattended(*, quiet: bool) -> Iterator[None]:
    """Run a service: it loads the plugins that somebody has named for it, and says which it leaves out."""
    from diadem.api.tools import only_named_plugins

    with only_named_plugins() as left_out:
        if left_out and not quiet:
            names = ",".join(left_out)
            said = f"plugins          not loaded here: {names}; to load them, set DIADEM_PLUGINS={names}"
            print(plain(said), file=sys.stderr, flush=True)
        yield


@contextmanager
def opened(node: str | None, user: str | None = None, *, sick: bool = False) -> Iterator[Node]:
    """The node that a command works on, here or over the network; with `sick` also where its catalogue is damaged."""
    from diadem.api.nodes import NODE_VARIABLE, open_node

    where = node or os.environ.get(NODE_VARIABLE, "")
    if where.startswith("https://"):
        from diadem.api.nodes import connect

        with connect(where, user, ask=ask_passphrase) as remote:
            yield cast("Node", remote)  # it has the verbs that can be used from elsewhere, and says so of the others
        return
    with open_node(node, user, ask=ask_passphrase, sick=sick) as found:
        yield found


def read_rate(text: str | None) -> float | None:
    """Bytes a second of ``--max-rate``; None where it is not given."""
    from diadem.node.rules.measures import read_rate

    return None if text is None else read_rate(text)


def ask_passphrase(name: str) -> str:
    """Ask a person for the passphrase of a key; refuse where nobody is looking."""
    if not sys.stdin.isatty():
        raise Refused(f"the key '{name}' needs its passphrase", next="Set DIADEM_PASSPHRASE.")
    return str(typer.prompt(f"Passphrase of the key '{name}'", hide_input=True, err=True))


def new_passphrase(what: str, variable: str) -> str:
    """Ask for a new passphrase, twice unless it is empty, which means none. Scripts set the variable."""
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        return ""
    while True:
        given = _hidden(f"Passphrase for {what} (empty: none)")
        if not given or given == _hidden("Once more"):
            return given
        print("The two are not the same.", file=sys.stderr)


def _hidden(question: str) -> str:
    return str(typer.prompt(question, default="", show_default=False, hide_input=True, err=True))
