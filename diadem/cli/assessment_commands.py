"""Commands on many assessments at once: written to a sheet, and imported from one."""

from __future__ import annotations

from typing import Annotated

import typer

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened
from diadem.cli.sheets import Agreement, DryRun, FromSheet, Replace, ToSheet, Yes, take_in, tell_written

assessments = Commands("Assessments of many packages, as a sheet to edit.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(assessments, name="assessment")


@assessments.command()
def export(
    file: ToSheet,
    query: Annotated[list[str] | None, typer.Argument(help="Of which packages, as for search. Default: all.")] = None,
    todo: Annotated[bool, typer.Option("--todo", help="A row for each dataset that nobody has assessed.")] = False,
    for_: Annotated[str, typer.Option("--for", help="With --todo: the purpose, which is filled in.")] = "",
    replace: Replace = False,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Write the assessments that count to a sheet to edit and import. For Excel or LibreOffice, a row each."""
    with opened(node) as found:
        done = found.judgements.export(file, " ".join(query or ()), todo=todo, purpose=for_, replace=replace)
        return tell_written(done, json)


@assessments.command(name="import")
def import_(
    file: FromSheet,
    yes: Yes = False,
    dry_run: DryRun = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Import an edited sheet. It shows what would change, and writes that if you agree.

    Unedited cells and removed rows are ignored. Only your own assessments can be changed; a row with a verdict and
    nothing under 'statement' is a new one of yours.
    """
    with opened(node, user) as found:
        return take_in(found.judgements.import_, file, Agreement("assessment", yes, dry_run), as_json=json, quiet=quiet)
