"""Commands on many judgements at once: written as a sheet, and taken in from one."""

from __future__ import annotations

from typing import Annotated

import typer

from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened
from diadem.cli.sheets import Agreement, DryRun, FromSheet, Replace, ToSheet, Yes, take_in, tell_written

judgements = typer.Typer(
    help="Judgements of many packages as a sheet: export, import.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(judgements, name="judgement")


@judgements.command()
def export(
    file: ToSheet,
    query: Annotated[list[str] | None, typer.Argument(help="Of which packages, as for search. Default: all.")] = None,
    todo: Annotated[bool, typer.Option("--todo", help="A row for each dataset that nobody has judged.")] = False,
    for_: Annotated[str, typer.Option("--for", help="With --todo: judged for this purpose, which is filled in.")] = "",
    replace: Replace = False,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Write the judgements that count, a row each, as a sheet for Excel or LibreOffice, to be edited and imported."""
    with opened(node) as found:
        done = found.judgements.export(file, " ".join(query or ()), todo=todo, purpose=for_, replace=replace)
        return tell_written(done, json)


@judgements.command(name="import")
def import_(
    file: FromSheet,
    yes: Yes = False,
    dry_run: DryRun = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Take in an edited sheet: show what it would change, and write that if you agree.

    What was not edited says nothing, nor does a row or a column that is not there. Only your own judgements can be
    changed; a row with a verdict and nothing under 'statement' is a new one of yours.
    """
    with opened(node, user) as found:
        return take_in(found.judgements.import_, file, Agreement("judgement", yes, dry_run), as_json=json, quiet=quiet)
