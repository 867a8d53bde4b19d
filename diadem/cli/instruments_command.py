"""`diadem instruments`: what the node says of its instruments."""

from __future__ import annotations

import typer

from diadem.cli.node_options import Json, NodeAt, opened
from diadem.cli.output import print_json, tell


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(instruments)


def instruments(node: NodeAt = None, json: Json = False) -> int:
    """List the instruments that instruments.toml describes. Makers, identifiers, time zones, and what tells each."""
    from diadem.node.instruments import EXAMPLE, INSTRUMENTS_FILE

    with opened(node) as found:
        listed, file = found.instruments(), found.path / INSTRUMENTS_FILE
    if json:
        print_json({"file": str(file), "instruments": listed})
        return 0
    if not listed:
        tell(f"no instruments are described yet. Add them to {file}, for example:")
        print(f"\n{EXAMPLE}")
        return 0
    for one in listed:
        told_by = ", ".join(f"{key} {value}" for key, value in one["when"].items())
        tell(f"{one['is'].get('name') or one['is'].get('model') or 'instrument':16} when {told_by}")
        for key, value in one["is"].items():
            tell(f"  {key:14} {value}")
    return 0
